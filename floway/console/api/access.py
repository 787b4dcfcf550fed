"""Who may ask the API for what: a person's token or session, the person's permissions, so many requests a minute."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.utils import timezone
from rest_framework import exceptions
from rest_framework.authentication import BaseAuthentication, SessionAuthentication
from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from accounts import operator_tokens, second_factor
from accounts.models import OperatorToken


class TokenAuthentication(BaseAuthentication):
    """`Authorization: Bearer fwo_…`; `request.auth` is the token."""

    def authenticate(self, request: Request) -> tuple[User, OperatorToken] | None:
        """None where no token was brought.

        :raises AuthenticationFailed: it is unknown, revoked or expired, or its person may not sign in; told apart nowhere.
        """
        scheme, _, secret = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            return None
        token = operator_tokens.recognise(secret.strip(), timezone.now())
        if token is None:
            raise exceptions.AuthenticationFailed("The operator token is not valid.", code="invalid_operator_token")
        return token.user, token

    def authenticate_header(self, request: Request) -> str:
        """What a 401 asks for."""
        return "Bearer"


class OperatorSession(SessionAuthentication):
    """A browser that is signed in to the admin, with its second factor; writing needs the CSRF token."""

    def authenticate(self, request: Request) -> tuple[User, None] | None:
        """None where nobody is signed in who may enter the admin."""
        found = super().authenticate(request)
        if found is None:
            return None
        user = found[0]
        if not user.is_staff:
            return None
        if second_factor.lacks(request.session, user) is not None:
            raise exceptions.PermissionDenied("Your second factor is asked for first.", code="second_factor_required")
        return user, None


class MayDo(BasePermission):
    """A person who has the permission that the view names for what is done; a token that only looks changes nothing."""

    def has_permission(self, request: Request, view: Any) -> bool:
        """See there."""
        user, token = request.user, request.auth
        if not isinstance(user, User):
            return False
        if isinstance(token, OperatorToken) and token.read_only and request.method not in SAFE_METHODS:
            raise exceptions.PermissionDenied("This token only looks.", code="read_only_token")
        needed = view.needed(request.method)
        return needed is None or user.has_perm(needed)


class PerMinute(BaseThrottle):
    """So many requests a minute for one person, whatever they come with; counted in the database, for all processes."""

    def allow_request(self, request: Request, view: Any) -> bool:
        """Counts this one."""
        self.now = timezone.now()
        if not isinstance(request.user, User):
            return True
        return operator_tokens.pace(request.user, self.now) <= settings.FLOWAY_API_REQUESTS_PER_MINUTE

    def wait(self) -> float:
        """Seconds to the next minute."""
        return 60 - self.now.second
