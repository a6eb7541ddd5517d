"""How much waits for a second person, of both kinds."""

from __future__ import annotations

from minting.service.requests import approving
from readings import queries


def waiting_badge() -> str:
    """Beside the sidebar's entry; nothing where nothing waits."""
    count = approving.waiting() + queries.waiting_wallet_changes()
    return str(count) if count else ""


def batches_tab() -> str:
    """The name of the tab of batches, with how many wait."""
    return _named("Batches", approving.waiting())


def wallets_tab() -> str:
    """The name of the tab of changed wallets, with how many wait."""
    return _named("Wallets", queries.waiting_wallet_changes())


def _named(name: str, count: int) -> str:
    return f"{name} ({count:,})" if count else name
