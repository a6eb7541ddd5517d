"""The mint: what its account said when it was last asked. Read-only."""

from __future__ import annotations

from django.contrib import admin
from django.utils.safestring import SafeString
from unfold.decorators import display

from minting.admin import explorer, show
from minting.admin.base import ReadOnlyAdmin
from minting.conf import current
from minting.models import MintInfo
from minting.service.chain.program import told_way
from readings.admin import copying


@admin.register(MintInfo)
class MintInfoAdmin(ReadOnlyAdmin):
    """One row an installation, unless it moved to another mint."""

    list_display = ("address", "decimals", "mint_authority", "checked")
    ordering = ("-recorded_at",)
    readonly_fields = ("whole", "program", "minter", "through", "freezer", "recorded", "checked")
    fieldsets = (
        (None, {"fields": ("whole", ("decimals", "account_size"), "program")}),
        ("Authorities", {"fields": ("minter", "through", "freezer")}),
        ("Cluster", {"fields": ("genesis_hash", ("recorded", "checked"))}),
    )

    @display(description="Address")
    def whole(self, mint: MintInfo) -> SafeString | str:
        """To read, to copy, and to look at where the world sees it."""
        return _shown(mint, mint.address, "mint")

    @display(description="Token program")
    def program(self, mint: MintInfo) -> SafeString | str:
        """Likewise."""
        return _shown(mint, mint.token_program, "token program")

    @display(description="Mint authority")
    def minter(self, mint: MintInfo) -> SafeString | str:
        """Who may create tokens."""
        return _shown(mint, mint.mint_authority, "mint authority")

    @display(description="Freeze authority")
    def freezer(self, mint: MintInfo) -> SafeString | str:
        """Who may freeze token accounts."""
        return _shown(mint, mint.freeze_authority, "freeze authority")

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


def _shown(mint: MintInfo, address: str, what: str) -> SafeString | str:
    if not address:
        return "none"
    return copying.together(
        address,
        copying.button(address, what),
        explorer.address(address, mint.genesis_hash, f"the {what}"),
    )
