"""Addresses as people use them: short, whole under the mouse, copied, seen in the explorer."""

from __future__ import annotations

from django.conf import settings
from django.utils.html import format_html
from django.utils.safestring import SafeString

from minting.admin import show
from minting.models import MintInfo

_COPIED = (
    '<span class="inline-flex items-center gap-1 whitespace-nowrap">'
    '<span title="{text}" class="font-mono text-xs">{short}</span>'
    '<button type="button" data-copy="{text}" aria-label="Copy {what} {short}" title="Copy"'
    ' class="copy material-symbols-outlined">content_copy</button>{out}</span>'
)
_OUT = (
    '<a href="{url}" target="_blank" rel="noopener" title="Explorer"'
    ' aria-label="See {what} {short} in the explorer"'
    ' class="copy material-symbols-outlined">open_in_new</a>'
)

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


def wallet(address: str | None, genesis_hash: str = "") -> SafeString | None:
    """A wallet, with a button that copies it and, where there is an explorer, a way there."""
    return copied(address, "wallet", show.address_url(address, genesis_hash) if address else "")


def signature(text: str | None, genesis_hash: str = "") -> SafeString | None:
    """A transaction's signature, likewise."""
    return copied(text, "signature", show.explorer_url(text, genesis_hash) if text else "")


def copied(text: str | None, what: str, url: str = "") -> SafeString | None:
    """Any long text that people paste elsewhere."""
    if not text:
        return None
    short = show.short(text)
    out = format_html(_OUT, url=url, what=what, short=short) if url else ""
    return format_html(_COPIED, text=text, short=short, what=what, out=out)
