"""``Authorization: Bearer <token>`` or ``X-API-KEY: <token>``."""

from __future__ import annotations

from typing import Any, ClassVar

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from knox.auth import TokenAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request


class TokenOrKeyAuthentication(TokenAuthentication):
    """Knox's check of a token, taken from either header the platform's clients use."""

    def authenticate(self, request: Request) -> tuple[Any, Any] | None:
        """Returns (user, token), or ``None`` when neither header is there."""
        key = request.headers.get("X-API-KEY", "").strip()
        if key:
            return self.authenticate_credentials(key.encode())
        return super().authenticate(request)  # type: ignore[no-any-return]

    def authenticate_credentials(self, token: bytes) -> tuple[Any, Any]:
        """Looks the token up by its digest.

        Raises:
            AuthenticationFailed: It is unknown, expired, or its user is inactive.
        """
        # Ours are hexadecimal; what is not even text must not get as far as the database.
        if not token.isalnum() or not token.isascii():
            raise AuthenticationFailed("Invalid token.")
        return super().authenticate_credentials(token)  # type: ignore[no-any-return]

    def authenticate_header(self, _request: Request) -> str:
        """The scheme of ``WWW-Authenticate``."""
        return "Bearer"


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
