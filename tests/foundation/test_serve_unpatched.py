"""What `manage.py serve` insists on."""

from __future__ import annotations

import pytest
from django.core.management import CommandError, call_command


def test_a_process_that_was_not_patched_before_it_loaded_does_not_serve() -> None:
    with pytest.raises(CommandError, match=r"manage\.py serve"):
        call_command("serve")
