"""The numbers that make a cluster: fixed when a ledger is opened, the same for every block."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Commitment = Literal["processed", "confirmed", "finalized"]

MAX_PROCESSING_AGE = 150
"""Blocks for which a blockhash is valid (Agave MAX_PROCESSING_AGE)."""
STATUS_CACHE_ROOTS = 300
"""Rooted blocks whose transactions the status cache covers (Agave MAX_CACHE_ENTRIES)."""
SLOTS_PER_EPOCH = 432_000
MAX_LAG = 64
"""Blocks below the finalized one whose accounts are still known, for a node that lags."""
SLOT_HASHES = 150
"""How many slot hashes programs can read; mainnet keeps 512, but each block pays for writing."""


@dataclass(frozen=True, slots=True)
class Rules:
    """How blocks are made and how they settle."""

    slot_ms: int = 400
    confirmed_after: int = 2
    """Blocks on top that make a block confirmed."""
    finalized_after: int = 32
    """Blocks on top that make a block finalized (Agave: 32 votes deep)."""
    skip_one_in: int = 24
    """One slot in so many has no block, so that slot and height differ; 0 skips none."""
    full_block_units: int = 60_000_000
    """Compute units of one block of 400 ms (Agave MAX_BLOCK_UNITS)."""
    full_account_units: int = 12_000_000
    """Compute units of one block of 400 ms for one writable account."""

    @property
    def block_units(self) -> int:
        """Room of one block, scaled with slot time (SIMD-0525)."""
        return self._scaled(self.full_block_units)

    @property
    def account_units(self) -> int:
        """Room for one writable account, scaled with slot time."""
        return self._scaled(self.full_account_units)

    def depth(self, commitment: Commitment) -> int:
        """Returns how many blocks lie on top of the newest one with this commitment."""
        return {
            "processed": 0,
            "confirmed": self.confirmed_after,
            "finalized": self.finalized_after,
        }[commitment]

    def _scaled(self, units: int) -> int:
        # Never less than the largest transaction takes, or it would wait for ever.
        return max(units * self.slot_ms // 400, 1_500_000)
