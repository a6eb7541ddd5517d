"""``Authorization: Bearer <token>`` or ``X-API-KEY: <token>``."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, ClassVar

from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from knox.auth import TokenAuthentication
from rest_framework.exceptions import AuthenticationFailed, Throttled
from rest_framework.request import Request

from minting.access.models import ApiToken
from minting.access.throttling import wrong_token_wait

NOTED_EVERY = timedelta(minutes=1)
"""How exactly *last used* is kept."""


class TokenOrKeyAuthentication(TokenAuthentication):
    """Knox's check of a token, taken from either header the platform's clients use."""

    def authenticate(self, request: Request) -> tuple[Any, Any] | None:
        """Returns (user, token), or ``None`` when neither header is there.

        Raises:
            AuthenticationFailed: The token is none, unknown, expired, revoked, or its user is
                inactive.
            Throttled: Too many wrong tokens came from this address.
        """
        key = request.headers.get("X-API-KEY", "").strip()
        try:
            if key:
                return self.authenticate_credentials(key.encode())
            return super().authenticate(request)  # type: ignore[no-any-return]
        except AuthenticationFailed:
            # A right token always opens: machines share addresses with others' wrong ones.
            if wait := wrong_token_wait(request):
                raise Throttled(wait) from None
            raise

    def authenticate_credentials(self, token: bytes) -> tuple[Any, Any]:
        """Looks the token up by its digest.

        Raises:
            AuthenticationFailed: It is unknown, expired, revoked, or its user is inactive.
        """
        # Ours are hexadecimal; what is not even text must not get as far as the database.
        if not token.isalnum() or not token.isascii():
            raise AuthenticationFailed("Invalid token.")
        return super().authenticate_credentials(token)  # type: ignore[no-any-return]

    def validate_user(self, auth_token: ApiToken) -> tuple[Any, Any]:
        """The user and the token, if both are good; notes that the token is in use."""
        if auth_token.revoked_at is not None:
            raise AuthenticationFailed("The token is revoked.")
        if auth_token.has_expired:
            raise AuthenticationFailed("The token has expired.")
        validated: tuple[Any, Any] = super().validate_user(auth_token)
        last = auth_token.last_used_at
        if last is None or timezone.now() - last >= NOTED_EVERY:
            # Whoever of several requests at once is second has nothing to write.
            stale = Q(last_used_at=None) | Q(last_used_at__lte=Now() - NOTED_EVERY)
            ApiToken.objects.filter(stale, pk=auth_token.pk).update(last_used_at=Now())
        return validated

    def authenticate_header(self, _request: Request) -> str:
        """The scheme of ``WWW-Authenticate``."""
        return "Bearer"

    def _cleanup_token(self, _auth_token: ApiToken) -> bool:
        """Nothing is deleted, as knox would do: the trail of calls names tokens that are over."""
        return False


class TokenScheme(OpenApiAuthenticationExtension):
    """How the API's description names the two headers."""

    target_class = "minting.access.authentication.TokenOrKeyAuthentication"
    name: ClassVar[list[str]] = ["bearer", "apiKey"]  # type: ignore[misc]

    def get_security_requirement(self, _auto_schema: Any) -> list[dict[str, list[Any]]]:
        """One header or the other, not both."""
        return [{name: []} for name in self.name]

    def get_security_definition(self, _auto_schema: Any) -> list[dict[str, str]]:
        """OpenAPI security schemes, in the order of ``name``."""
        return [
            {"type": "http", "scheme": "bearer"},
            {"type": "apiKey", "in": "header", "name": "X-API-KEY"},
        ]
