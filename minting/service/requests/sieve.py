"""Readings on their way to a plan: those that can be paid pass, the others stay with the reason."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from minting.engine.errors import InvalidItem
from minting.engine.types import MintBatchData


@dataclass(slots=True)
class Sieve:
    """Payments on their way; what is none stays behind."""

    walk: Iterable[MintBatchData | InvalidItem]
    passing: Callable[[int], None] | None = None
    """Told the number of wallets that have passed."""
    excluded: list[InvalidItem] = field(default_factory=list)

    def __iter__(self) -> Iterator[MintBatchData]:
        wallets, last = 0, ""
        for each in self.walk:
            if isinstance(each, InvalidItem):
                self.excluded.append(each)
                continue
            if self.passing is not None and each.wallet_address != last:
                wallets, last = wallets + 1, each.wallet_address
                self.passing(wallets)
            yield each
