"""The API token: knox's hashed, expiring token with scopes, which is revoked and never deleted."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models, transaction
from django.utils import timezone
from knox.models import AbstractAuthToken, AuthTokenManager

from minting.access.scopes import Scope

SHOWN = 8
"""Characters of a token that name it: of 64, so that it cannot be used as one."""


class ApiTokenManager(AuthTokenManager):
    """Issues tokens; the clear text is returned once and never stored."""

    def issue(
        self,
        *,
        user: Any,
        scopes: list[Scope],
        expires_in: timedelta | None,
        name: str = "",
        created_by: Any = None,
    ) -> tuple[ApiToken, str]:
        """Creates a token for ``user`` and returns it with its clear text.

        Args:
            user: Whose name its calls bear.
            scopes: What it may do.
            expires_in: From now; ``None`` for never.
            name: What it is for.
            created_by: The member of staff who made it, unless a command did.
        """
        return self.create(  # type: ignore[no-any-return]
            user=user,
            expiry=expires_in,
            scopes=sorted(set(scopes)),
            name=name,
            created_by=created_by,
        )


class ApiToken(AbstractAuthToken):
    """A machine's key to the API; only its digest is kept.

    Subclasses knox's abstract token, so that scopes live on the row (``KNOX_TOKEN_MODEL``). A row
    stays when the token is revoked or has expired: the trail of calls names it.
    """

    name = models.CharField(max_length=100, blank=True, help_text="What it is for.")
    scopes = ArrayField(
        models.CharField(max_length=16, choices=[(scope.value, scope.value) for scope in Scope]),
        default=list,
        help_text="What the token may do: read, submit, mint, registry.",
    )
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    last_used_at = models.DateTimeField(
        null=True, blank=True, help_text="To the minute: not every call is worth a write."
    )
    revoked_at = models.DateTimeField(null=True, blank=True)
    revoked_by = models.CharField(max_length=150, blank=True)

    objects = ApiTokenManager()

    class Meta:
        verbose_name = "API token"
        ordering = ("-created",)

    def __str__(self) -> str:
        return f"{self.beginning}… of {self.user}"

    @property
    def beginning(self) -> str:
        """What people call it."""
        return str(self.token_key)[:SHOWN]

    @property
    def has_expired(self) -> bool:
        """Whether its time is over."""
        return self.expiry is not None and self.expiry <= timezone.now()

    @property
    def is_valid(self) -> bool:
        """Whether it still opens."""
        return self.revoked_at is None and not self.has_expired and self.user.is_active

    def allows(self, scope: Scope) -> bool:
        """Whether the token carries ``scope``."""
        return scope.value in self.scopes

    def revoke(self, *, by: str) -> None:
        """Ends it for good, from the next request on; who did so first stays named."""
        with transaction.atomic():
            valid = ApiToken.objects.select_for_update(no_key=True).filter(revoked_at=None)
            # Saved, so that the change log sees it.
            for token in valid.filter(pk=self.pk):
                token.revoked_at, token.revoked_by = timezone.now(), by
                token.save(update_fields=["revoked_at", "revoked_by"])
