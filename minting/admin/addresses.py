"""Wallets and signatures in rows: short, whole under the mouse, copied, seen in the explorer."""

from __future__ import annotations

from django.conf import settings
from django.utils.safestring import SafeString

from minting.admin import explorer, show
from minting.models import MintInfo
from readings.admin import copying

_clusters: dict[str, str] = {}
"""By mint; never changes once it is recorded."""


def cluster() -> str:
    """The genesis hash of the cluster that this installation mints on; empty before the first."""
    mint = settings.ENERGY_TOKEN_MINT or ""
    if mint and mint not in _clusters:
        recorded = MintInfo.objects.filter(address=mint).values_list("genesis_hash", flat=True)
        if (found := recorded.first()) is None:
            return ""
        _clusters[mint] = found
    return _clusters.get(mint, "")


def wallet(address: str | None) -> SafeString | None:
    """A wallet, with a button that copies it and, where there is an explorer, a way there."""
    if not address:
        return None
    return copying.together(
        show.shortened(address),
        copying.button(address, "wallet"),
        explorer.address(address, cluster()),
    )


def signature(text: str | None) -> SafeString | None:
    """A transaction's signature, likewise."""
    if not text:
        return None
    return copying.together(
        show.shortened(text),
        copying.button(text, "signature"),
        explorer.transaction(text, cluster()),
    )
