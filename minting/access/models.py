"""The API token: knox's hashed, expiring token with scopes."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.contrib.postgres.fields import ArrayField
from django.db import models
from knox.models import AbstractAuthToken, AuthTokenManager

from minting.access.scopes import Scope


class ApiTokenManager(AuthTokenManager):
    """Issues tokens; the clear text is returned once and never stored."""

    def issue(
        self, *, user: Any, scopes: list[Scope], expires_in: timedelta | None
    ) -> tuple[ApiToken, str]:
        """Creates a token for ``user`` and returns it with its clear text."""
        return self.create(  # type: ignore[no-any-return]
            user=user, expiry=expires_in, scopes=sorted(set(scopes))
        )


class ApiToken(AbstractAuthToken):
    """A machine's key to the API; only its digest is kept.

    Subclasses knox's abstract token, so that scopes live on the row (``KNOX_TOKEN_MODEL``).
    """

    scopes = ArrayField(
        models.CharField(max_length=16, choices=[(scope.value, scope.value) for scope in Scope]),
        default=list,
        help_text="What the token may do: read, submit, mint, registry.",
    )

    objects = ApiTokenManager()

    class Meta:
        verbose_name = "API token"
        ordering = ("-created",)

    def __str__(self) -> str:
        return f"{self.token_key}… of {self.user}"

    def allows(self, scope: Scope) -> bool:
        """Whether the token carries ``scope``."""
        return scope.value in self.scopes
