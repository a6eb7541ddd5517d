"""How high the chain can be by now, without asking each time.

A block height grows by one a slot at most, so a height that was asked once bounds those of later
slots; and every answer of a node tells its slot. Only where the bound says that it can matter is
the height itself asked. Nothing is proven with it: a proof of death asks for its own
(``cluster.evidence``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from minting.engine.types import Commitment, EpochInfo
from minting.engine.verdicts import is_past_life


class TellsHeights(Protocol):
    """A node, or several as one."""

    async def epoch_info(self, commitment: Commitment, /) -> EpochInfo:
        """Slot and block height of one bank."""


@dataclass(slots=True)
class Heights:
    """What one process knows of a cluster's confirmed heights."""

    known: EpochInfo | None = None
    seen_slot: int = 0
    """Of the latest answer."""

    def saw(self, slot: int) -> None:
        """An answer was from this slot."""
        self.seen_slot = slot

    def at_most(self, slot: int) -> int | None:
        """The height that a bank of this slot cannot exceed; ``None`` if nothing bounds it."""
        if self.known is None or slot < self.known.slot:
            return None
        return self.known.block_height + slot - self.known.slot

    def may_be_past(self, last_valid_block_height: int) -> bool:
        """Whether a transaction's life can be over by the slot that was seen last."""
        height = self.at_most(self.seen_slot)
        return height is None or is_past_life(height, last_valid_block_height)

    async def ask(self, nodes: TellsHeights) -> int:
        """The confirmed height."""
        self.known = await nodes.epoch_info(Commitment.CONFIRMED)
        self.seen_slot = max(self.seen_slot, self.known.slot)
        return self.known.block_height

    def heard(self, slot: int, block_height: int) -> None:
        """Another process asked: the later of two answers bounds what follows more closely."""
        if self.known is None or self.known.slot < slot:
            self.known = EpochInfo(slot, block_height)
            self.seen_slot = max(self.seen_slot, slot)


_of: dict[tuple[str, ...], Heights] = {}
"""By the nodes asked; kept by the process, since every task would ask the same."""


def heights_of(rpc_urls: tuple[str, ...]) -> Heights:
    """What this process knows of the cluster behind these nodes."""
    return _of.setdefault(rpc_urls, Heights())
