"""The facts of the chain's past: blocks, and what landed in them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from solders.hash import Hash
from solders.pubkey import Pubkey
from solders.signature import Signature


@dataclass(frozen=True, slots=True)
class Block:
    """A slot that was not skipped. Heights count blocks, slots count time."""

    height: int
    slot: int
    parent_slot: int
    blockhash: Hash
    parent_hash: Hash
    unix_ms: int
    transactions: int
    """How many landed in this block."""
    total_transactions: int
    """How many landed up to here."""

    @property
    def time(self) -> int:
        """When the block was made, in seconds."""
        return self.unix_ms // 1000


@dataclass(frozen=True, slots=True)
class Bids:
    """What a block's transactions bid, in micro-lamports per compute unit."""

    least: int = 0
    """By any of them; 0 where there was none."""
    by_account: Mapping[Pubkey, int] = field(default_factory=dict)
    """The least by those that wrote an account."""

    def asked_of(self, keys: Iterable[Pubkey]) -> int:
        """What getRecentPrioritizationFees tells to those who write these accounts.

        Agave, PrioritizationFeeCache::get_prioritization_fees.
        """
        return max((self.least, *(self.by_account.get(key, 0) for key in keys)))


@dataclass(frozen=True, slots=True)
class Status:
    """What getSignatureStatuses needs to know of a transaction."""

    slot: int
    height: int
    err: Any


@dataclass(frozen=True, slots=True)
class Landed:
    """A transaction in a block, as it is kept for ever."""

    signature: Signature
    slot: int
    height: int
    index: int
    """Its place in the block."""
    time: int
    raw: bytes
    err: Any
    memo: str | None
    record: dict[str, Any]
    """What it did: see `record.py`."""
    keys: tuple[Pubkey, ...] = ()
    """The accounts under which its history is found; empty when read back."""


@dataclass(frozen=True, slots=True)
class HistoryRow:
    """One line of getSignaturesForAddress."""

    signature: str
    slot: int
    index: int
    height: int
    time: int
    err: Any
    memo: str | None
