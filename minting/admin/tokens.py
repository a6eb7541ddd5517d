"""API tokens: listed and revoked. They are made on the command line, which shows them once."""

from __future__ import annotations

from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest
from django.utils import timezone
from django.utils.safestring import SafeString
from unfold.decorators import display

from minting.access.models import ApiToken
from minting.admin import show
from minting.admin.base import ReadOnlyAdmin


@admin.register(ApiToken)
class ApiTokenAdmin(ReadOnlyAdmin):
    """Whose, for what, until when. Its beginning names a token, and cannot be used as one."""

    list_display = ("beginning", "user", "scope_words", "made", "expires", "state")
    list_select_related = ("user",)
    ordering = ("-created",)
    search_fields = ("user__username",)
    search_help_text = "User name"
    readonly_fields = ("scope_words", "made", "expires", "state")
    fields = ("user", "scope_words", ("made", "expires", "state"))

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:  # noqa: ARG002
        """To revoke is to delete."""
        return bool(request.user.has_perm("access.delete_apitoken"))

    @display(description="Token")
    def beginning(self, token: ApiToken) -> str:
        """What tells one of a user's tokens from another."""
        return f"{token.token_key[:8]}…"

    @display(description="Scopes")
    def scope_words(self, token: ApiToken) -> str:
        """What it may do."""
        return ", ".join(token.scopes) or "none"

    @display(description="Created")
    def made(self, token: ApiToken) -> SafeString | str:
        """When."""
        return show.time(token.created)

    @display(description="Expires")
    def expires(self, token: ApiToken) -> SafeString | str:
        """Until when it works."""
        return show.time(token.expiry) or "never"

    @display(description="State")
    def state(self, token: ApiToken) -> SafeString:
        """Whether it still works."""
        expired = token.expiry is not None and token.expiry <= timezone.now()
        return show.badge("failed", "expired") if expired else show.badge("succeeded", "valid")
