"""Addresses as people use them: short, whole under the mouse, copied, seen in the explorer."""

from __future__ import annotations

from django.conf import settings
from django.template.loader import render_to_string
from django.utils.safestring import SafeString

from minting.admin import show
from minting.models import MintInfo


def cluster() -> str:
    """The genesis hash of the cluster that this installation mints on; empty before the first."""
    mint = settings.ENERGY_TOKEN_MINT
    if not mint:
        return ""
    known = MintInfo.objects.filter(address=mint).values_list("genesis_hash", flat=True)
    return known.first() or ""


def wallet(address: str, genesis_hash: str = "") -> SafeString | str:
    """A wallet, with a button that copies it and, where there is an explorer, a way there."""
    return copied(address, "wallet", show.address_url(address, genesis_hash))


def signature(text: str, genesis_hash: str = "") -> SafeString | str:
    """A transaction's signature, likewise."""
    return copied(text, "signature", show.explorer_url(text, genesis_hash))


def copied(text: str, what: str, url: str = "") -> SafeString | str:
    """Any long text that people paste elsewhere."""
    if not text:
        return ""
    return render_to_string(
        "admin/lists/copied.html",
        {"text": text, "short": show.short(text), "what": what, "url": url},
    )
