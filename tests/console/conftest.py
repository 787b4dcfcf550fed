"""Who looks at the pages."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from django.test import Client


@pytest.fixture
def operator(db: None) -> Client:
    """A superuser's browser."""
    from tests.console.people import superuser

    return superuser()
