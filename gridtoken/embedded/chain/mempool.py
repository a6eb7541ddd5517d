"""Transactions that were sent and have not landed, in the order in which they came."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from solders.signature import Signature

from gridtoken.embedded.chain.transaction import DecodedTransaction


@dataclass(frozen=True, slots=True)
class Pending:
    """A transaction on its way to a leader."""

    decoded: DecodedTransaction
    not_before: int
    """The slot in which it arrives."""
    price: int
    """What it bids, in micro-lamports per compute unit."""


class Mempool:
    """What the next leaders have to choose from; the same bytes twice are one."""

    def __init__(self) -> None:
        self._waiting: dict[Signature, Pending] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def __iter__(self) -> Iterator[Pending]:
        return iter(list(self._waiting.values()))

    def add(self, pending: Pending) -> None:
        """Takes a transaction in, unless it is waiting already."""
        self._waiting.setdefault(pending.decoded.signature, pending)

    def remove(self, signature: Signature) -> None:
        """Lets a transaction go: it landed or was refused."""
        self._waiting.pop(signature, None)

    def ready(self, slot: int, *, least_bid: int = 0) -> list[Pending]:
        """Returns what has arrived by a slot and bids enough, highest bid and then oldest first."""
        arrived = (each for each in self._waiting.values() if each.not_before <= slot)
        wanted = [each for each in arrived if each.price >= least_bid]
        return sorted(wanted, key=lambda each: -each.price)
