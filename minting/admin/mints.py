"""The mint: what its account said when it was last asked. Read-only."""

from __future__ import annotations

from django.contrib import admin
from django.utils.safestring import SafeString
from unfold.decorators import display

from minting.admin import show
from minting.admin.base import ReadOnlyAdmin
from minting.conf import current
from minting.models import MintInfo
from minting.service.program import told_way


@admin.register(MintInfo)
class MintInfoAdmin(ReadOnlyAdmin):
    """One row an installation, unless it moved to another mint."""

    list_display = ("address", "decimals", "mint_authority", "checked")
    ordering = ("-recorded_at",)
    readonly_fields = ("through", "recorded", "checked")
    fieldsets = (
        (None, {"fields": ("address", ("decimals", "account_size"), "token_program")}),
        ("Authorities", {"fields": ("mint_authority", "through", "freeze_authority")}),
        ("Cluster", {"fields": ("genesis_hash", ("recorded", "checked"))}),
    )

    @display(description="Minted through")
    def through(self, mint: MintInfo) -> str:
        """What this installation calls to mint it."""
        config = current()
        return told_way(config) if str(config.mint_address) == mint.address else ""

    @display(description="Recorded")
    def recorded(self, mint: MintInfo) -> SafeString | str:
        """When it was first seen."""
        return show.time(mint.recorded_at)

    @display(description="Checked")
    def checked(self, mint: MintInfo) -> SafeString | str:
        """When it was last asked."""
        return show.time(mint.checked_at)
