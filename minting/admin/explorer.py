"""Where the world sees a transaction or a wallet: an explorer's page, by cluster."""

from __future__ import annotations

from urllib.parse import urlsplit, urlunsplit

from django.conf import settings
from django.utils.html import format_html
from django.utils.safestring import SafeString

EXPLORERS = {
    "5eykt4UsFv8P8NJdTREpY1vzqKqZKvdpKuc147dw2N9d": "https://explorer.solana.com",
    "EtWTRABZaYq6iMfeYKouRu166VU2xqa1wcaWoxPkrZBG": "https://explorer.solana.com?cluster=devnet",
    "4uhcVJyU9pJkvQyS88uRDiswHXSCkY3zQawwpjk2NsNY": "https://explorer.solana.com?cluster=testnet",
}
"""By genesis hash: mainnet, devnet, testnet. A local chain has none of its own."""

_SIGNATURE = "{signature}"


def transaction_url(signature: str, genesis_hash: str) -> str:
    """A transaction's page, or nothing where no explorer is known.

    ``EXPLORER_URL`` wins over the clusters that are known here. It is either an explorer's address,
    which may end in a query (``https://explorer.example?cluster=custom``), or a whole pattern with
    ``{signature}`` in it.
    """
    if _SIGNATURE in (given := settings.EXPLORER_URL or ""):
        return given.replace(_SIGNATURE, signature)
    return _page(given or EXPLORERS.get(genesis_hash, ""), f"tx/{signature}")


def address_url(address: str, genesis_hash: str) -> str:
    """The page of a wallet, a token account or a mint, or nothing.

    A pattern of ``EXPLORER_URL`` leads to addresses where it says ``tx/{signature}``: that is what
    explorers have ``address/…`` beside.
    """
    given = settings.EXPLORER_URL or ""
    if _SIGNATURE in given:
        beside = given.replace(f"/tx/{_SIGNATURE}", f"/address/{address}")
        return "" if beside == given else beside
    return _page(given or EXPLORERS.get(genesis_hash, ""), f"address/{address}")


def link(url: str, what: str) -> SafeString | str:
    """The way out, opened beside the admin; nothing without an address.

    Args:
        url: Where to.
        what: For whoever cannot see the icon: "the transaction", "the wallet".
    """
    if not url:
        return ""
    return format_html(
        '<a href="{}" target="_blank" rel="noopener noreferrer" class="gt-out text-link" '
        'title="{}" aria-label="{}">'
        '<span class="material-symbols-outlined" aria-hidden="true">open_in_new</span></a>',
        url,
        told := f"Show {what} in the explorer",
        told,
    )


def transaction(signature: str, genesis_hash: str) -> SafeString | str:
    """A link to a transaction's page."""
    return link(transaction_url(signature, genesis_hash), "the transaction")


def address(of: str, genesis_hash: str, what: str = "the wallet") -> SafeString | str:
    """A link to an address's page."""
    return link(address_url(of, genesis_hash), what) if of else ""


def _page(explorer: str, page: str) -> str:
    if not explorer:
        return ""
    parts = urlsplit(explorer)
    return urlunsplit(parts._replace(path=f"{parts.path.rstrip('/')}/{page}"))
