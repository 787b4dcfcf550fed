"""Operators: what they did, how they prove who they are, and what each role has been given."""

from __future__ import annotations

from typing import Any, ClassVar

from django.conf import settings
from django.contrib.auth.models import Group
from django.db import models


class AuditEntry(models.Model):
    """One thing that an operator did. Written once: the database refuses to change it.

    Who and what are copied, not referred to: an entry outlives both. `detail` holds no secret and no content.
    """

    at = models.DateTimeField(db_index=True)
    actor = models.CharField("who", max_length=150)
    actor_id = models.BigIntegerField(null=True)
    address = models.GenericIPAddressField("from", null=True)
    action = models.CharField(max_length=120, db_index=True)
    object_type = models.CharField(max_length=100, blank=True)
    object_id = models.CharField(max_length=64, blank=True)
    object_label = models.CharField(max_length=300, blank=True)
    detail = models.JSONField(default=dict)
    request_id = models.CharField(max_length=64, blank=True)

    class Meta:
        verbose_name = "entry of the audit log"
        verbose_name_plural = "audit log"
        indexes: ClassVar = [models.Index(fields=["actor", "-at"], name="audit_by_actor")]

    def __str__(self) -> str:
        return f"{self.actor}: {self.action} {self.object_label}".strip()

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Once.

        :raises TypeError: it is written already.
        """
        if not self._state.adding:
            raise TypeError("An entry of the audit log is not changed.")
        super().save(*args, **kwargs)


class GuessCount(models.Model):
    """How often a secret was tried. `digest` is a keyed hash of who tried which one from where."""

    digest = models.BinaryField(max_length=32, unique=True)
    tries = models.PositiveIntegerField(default=0)
    began_at = models.DateTimeField()
    locks = models.PositiveIntegerField(default=0)
    locked_until = models.DateTimeField(null=True)
    touched_at = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return f"{self.tries} tries"


class SecondFactor(models.Model):
    """A person's authenticator: its secret, sealed, and the last time step whose code was used, so that none works twice.

    Until `confirmed_at` it is only offered.
    """

    user = models.OneToOneField(settings.AUTH_USER_MODEL, models.CASCADE, primary_key=True, related_name="second_factor")
    sealed = models.BinaryField()
    last_step = models.BigIntegerField(default=0)
    created_at = models.DateTimeField()
    confirmed_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"second factor of user {self.pk}"


class RecoveryCode(models.Model):
    """A code that works once in place of the authenticator's; kept as a keyed hash."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="recovery_codes")
    digest = models.BinaryField(max_length=32, unique=True)
    used_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"recovery code {self.pk}"


class RoleGrant(models.Model):
    """A permission that a role was given when there was first such a permission; what its owner takes away stays away."""

    group = models.ForeignKey(Group, models.CASCADE, related_name="+")
    permission = models.CharField(max_length=200)

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["group", "permission"], name="role_grant_once")]

    def __str__(self) -> str:
        return self.permission
