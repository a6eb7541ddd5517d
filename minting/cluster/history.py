"""Walking an address's finalized history back, page by page, to a signature already known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from solders.pubkey import Pubkey

from minting.cluster.client import HISTORY_PER_CALL, Node
from minting.engine.types import HistoryEntry

MAX_PAGES = 200
"""200,000 signatures: some minutes of asking, and as much as one should hold in memory."""


@dataclass(frozen=True, slots=True)
class Walk:
    """What a walk saw, newest first, and whether it can be trusted to have seen everything."""

    entries: tuple[HistoryEntry, ...]
    """All rows, down to the known one (included) where the walk ended."""
    complete: bool
    """Whether it met a known signature. If not, a node without the older ledger, an unknown
    ``before`` or a lying page may have cut it short: what is missing then proves nothing."""


async def walk_history(
    node: Node,
    address: Pubkey,
    *,
    is_known: Callable[[str], bool],
    below_slot: int | None = None,
    min_context_slot: int | None = None,
    page_size: int = HISTORY_PER_CALL,
    max_pages: int = MAX_PAGES,
) -> Walk:
    """Walks back until a signature that ``is_known``, and older than ``below_slot`` if given.

    An empty page ends the walk incomplete, the true beginning of the history too: the RPC gives
    the same answer for a ``before`` that it does not know.

    Raises:
        SolanaError: As ``Node.signatures_for_address``; then nothing was learned.
    """
    entries: list[HistoryEntry] = []
    seen: set[str] = set()
    before: str | None = None
    for _ in range(max_pages):
        page = await node.signatures_for_address(
            address, before=before, limit=page_size, min_context_slot=min_context_slot
        )
        for entry in page:
            if entry.signature in seen:  # a node that does not honour ``before``
                return Walk(tuple(entries), complete=False)
            seen.add(entry.signature)
            entries.append(entry)
            if (below_slot is None or entry.slot < below_slot) and is_known(entry.signature):
                return Walk(tuple(entries), complete=True)
        if not page:
            break
        before = page[-1].signature
    return Walk(tuple(entries), complete=False)
