"""Walking an address's finalized history back, page by page, to a signature already known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from solders.pubkey import Pubkey

from minting.cluster.client import HISTORY_PER_CALL, Node
from minting.cluster.concurrency import together
from minting.engine.errors import SolanaError
from minting.engine.types import HistoryEntry, LandedTransaction

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


@dataclass(slots=True)
class BackwardWalk:
    """An address's finalized history, newest first, one page in memory at a time.

    It ends at ``until``, or without one at the beginning of the history. Whether that beginning
    was the true one the RPC does not tell; the caller has an equation to check it by (I7).
    """

    node: Node
    address: Pubkey
    up_to_slot: int
    """Newer rows are left out; the node must have finalized this slot."""
    until: str | None = None
    """The newest signature that an earlier walk has seen; left out too."""
    until_slot: int = 0
    page_size: int = HISTORY_PER_CALL
    done: bool = False
    _before: str | None = None
    _slot: int | None = None

    async def page(self) -> tuple[HistoryEntry, ...]:
        """The next rows; ``done`` says whether more follow. May be empty before the end.

        Raises:
            SolanaError: As ``Node.signatures_for_address``, or the node's history ends or leaps
                before ``until``: nothing may be concluded from such a walk.
        """
        page = await self.node.signatures_for_address(
            self.address,
            before=self._before,
            limit=self.page_size,
            min_context_slot=self.up_to_slot,
        )
        if not page and self.until is not None:
            raise SolanaError(f"{self.node.name} does not know the history back to {self.until}")
        fresh = []
        self.done = not page
        for entry in page:
            if entry.signature == self.until:
                self.done = True
                break
            self._check_order(entry)
            self._before, self._slot = entry.signature, entry.slot
            if entry.slot <= self.up_to_slot:
                fresh.append(entry)
        return tuple(fresh)

    def _check_order(self, entry: HistoryEntry) -> None:
        """Pages that overlap, go up again or pass the known end are no walk."""
        if entry.signature == self._before or (self._slot is not None and entry.slot > self._slot):
            raise SolanaError(f"{self.node.name} does not page its history backwards")
        if entry.slot < self.until_slot:
            raise SolanaError(f"{self.node.name} has a history without {self.until}")


async def fetch_landed(node: Node, signatures: Sequence[str]) -> list[LandedTransaction]:
    """The finalized transactions of rows that the same node's history has just named.

    Raises:
        SolanaError: As ``Node.transaction``, or the node lacks one, or what its programs called.
    """
    found = await together(node.transaction(signature) for signature in signatures)
    landed = []
    for signature, transaction in zip(signatures, found, strict=True):
        if transaction is None or transaction.called is None:
            raise SolanaError(f"{node.name} names {signature} and does not have the whole of it")
        landed.append(transaction)
    return landed
