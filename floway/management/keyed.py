"""Management commands that read or write what is sealed: they start only with the right keys."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand


class KeyedCommand(BaseCommand):
    """Its system checks include those that ask the database, among them whether the keys are those it was sealed with."""

    def get_check_kwargs(self, options: dict[str, Any]) -> Any:
        """See BaseCommand."""
        return {**dict(super().get_check_kwargs(options)), "databases": ["default"]}
