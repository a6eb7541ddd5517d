"""The facts of the chain's past: blocks, and what landed in them."""

from __future__ import annotations

from dataclasses import dataclass
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
