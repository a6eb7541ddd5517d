"""One table of states and moves for whatever the journal stores (design: life of a transaction).

Only ``journal.py`` writes states, and it asks ``assert_move`` first. Status enums are plain
``StrEnum`` so that models can build their choices from them. What a reading's status becomes is
derived here as text, because the statuses themselves belong to ``readings``.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Literal, TypeVar


class TransactionStatus(StrEnum):
    """Life of one journalled Solana transaction."""

    PLANNED = "planned"
    SIGNED = "signed"
    """Journalled, not known to have left this process."""
    SENT = "sent"
    CONFIRMED = "confirmed"
    """Landed without error, not yet irrevocable."""
    FINALIZED = "finalized"
    FAILED = "failed"
    """Landed with an error, and that landing is finalized."""
    EXPIRED = "expired"
    """Proven dead (I4): it can no longer land."""


class ResultStatus(StrEnum):
    """Outcome of one reading in one batch."""

    PENDING = "pending"
    IN_DOUBT = "in_doubt"
    CONFIRMED = "confirmed"
    FINALIZED = "finalized"
    FAILED = "failed"
    CANCELLED = "cancelled"


class SliceStatus(StrEnum):
    """Whole transactions of a batch that one task drives."""

    AWAITING_APPROVAL = "awaiting_approval"
    """Nobody may claim it before a second person has approved its batch."""
    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"


class BatchStatus(StrEnum):
    """What was asked in one go, as people see it."""

    QUEUED = "queued"
    AWAITING_APPROVAL = "awaiting_approval"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    PARTIALLY_SUCCEEDED = "partially_succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


ReadingStatus = Literal[
    "pending", "held", "not_minted", "minting", "in_doubt", "retrying", "failed", "minted"
]
"""Statuses of a reading (contract); ``readings/rules.py`` defines them for the database."""

_T, _R, _S, _B = TransactionStatus, ResultStatus, SliceStatus, BatchStatus

TRANSACTION_MOVES: frozenset[tuple[TransactionStatus, TransactionStatus]] = frozenset(
    {
        (_T.PLANNED, _T.SIGNED),
        (_T.SIGNED, _T.SENT),
        # A kill between sending and noting it: the landing is what is seen first.
        (_T.SIGNED, _T.CONFIRMED),
        (_T.SIGNED, _T.FINALIZED),
        (_T.SIGNED, _T.FAILED),
        (_T.SIGNED, _T.EXPIRED),
        (_T.SENT, _T.CONFIRMED),
        (_T.SENT, _T.FINALIZED),
        (_T.SENT, _T.FAILED),
        (_T.SENT, _T.EXPIRED),
        (_T.CONFIRMED, _T.FINALIZED),
        # Its fork lost: the same bytes are sent again, nothing is planned anew.
        (_T.CONFIRMED, _T.SENT),
        # It landed with an error on the fork that won; a finalized answer overrides (I5).
        (_T.CONFIRMED, _T.FAILED),
    }
)

RESULT_MOVES: frozenset[tuple[ResultStatus, ResultStatus]] = frozenset(
    {
        (_R.PENDING, _R.IN_DOUBT),
        (_R.PENDING, _R.CONFIRMED),
        (_R.PENDING, _R.FINALIZED),
        (_R.PENDING, _R.FAILED),
        (_R.PENDING, _R.CANCELLED),
        (_R.IN_DOUBT, _R.PENDING),
        (_R.IN_DOUBT, _R.CONFIRMED),
        (_R.IN_DOUBT, _R.FINALIZED),
        (_R.IN_DOUBT, _R.FAILED),
        (_R.CONFIRMED, _R.FINALIZED),
        # Vanished with its fork.
        (_R.CONFIRMED, _R.PENDING),
        (_R.CONFIRMED, _R.IN_DOUBT),
        (_R.CONFIRMED, _R.FAILED),
    }
)

SLICE_MOVES: frozenset[tuple[SliceStatus, SliceStatus]] = frozenset(
    {
        (_S.AWAITING_APPROVAL, _S.QUEUED),
        # Refused, expired or cancelled.
        (_S.AWAITING_APPROVAL, _S.DONE),
        (_S.QUEUED, _S.RUNNING),
        # Given back, or its lease ran out: another task takes it.
        (_S.RUNNING, _S.QUEUED),
        (_S.RUNNING, _S.DONE),
        # Everything in it was cancelled before a task came.
        (_S.QUEUED, _S.DONE),
        # A confirmed transaction vanished after all had been settled.
        (_S.DONE, _S.QUEUED),
    }
)

BATCH_MOVES: frozenset[tuple[BatchStatus, BatchStatus]] = frozenset(
    {
        (_B.AWAITING_APPROVAL, _B.QUEUED),
        (_B.AWAITING_APPROVAL, _B.CANCELLED),
        # The backup is from before its approval, and it was minted: the journal's file told so.
        (_B.AWAITING_APPROVAL, _B.RUNNING),
        # Somebody freed its slices by hand: they meet the approval again before the wire.
        (_B.AWAITING_APPROVAL, _B.FAILED),
        (_B.QUEUED, _B.RUNNING),
        (_B.QUEUED, _B.FAILED),
        (_B.QUEUED, _B.CANCELLED),
        (_B.RUNNING, _B.SUCCEEDED),
        (_B.RUNNING, _B.PARTIALLY_SUCCEEDED),
        (_B.RUNNING, _B.FAILED),
        (_B.RUNNING, _B.CANCELLED),
        # A confirmed transaction vanished after the batch had closed.
        (_B.SUCCEEDED, _B.RUNNING),
        (_B.PARTIALLY_SUCCEEDED, _B.RUNNING),
    }
)

FINAL_BATCHES: frozenset[BatchStatus] = frozenset(
    {_B.SUCCEEDED, _B.PARTIALLY_SUCCEEDED, _B.FAILED, _B.CANCELLED}
)
"""Every reading has its outcome."""

LIVE_RESULTS: frozenset[ResultStatus] = frozenset(
    {_R.PENDING, _R.IN_DOUBT, _R.CONFIRMED, _R.FINALIZED}
)
"""Open or succeeded: a reading has at most one result in these (I1)."""

OPEN_RESULTS: frozenset[ResultStatus] = frozenset({_R.PENDING, _R.IN_DOUBT})
"""Not decided yet."""

SUCCEEDED_RESULTS: frozenset[ResultStatus] = frozenset({_R.CONFIRMED, _R.FINALIZED})
"""Minted; ``confirmed`` provisionally."""

LIVE_TRANSACTIONS: frozenset[TransactionStatus] = frozenset({_T.SIGNED, _T.SENT, _T.CONFIRMED})
"""Journalled and not settled for good: recovery looks at these before anything new is signed."""

_Status = TypeVar("_Status", TransactionStatus, ResultStatus, SliceStatus, BatchStatus)

_MOVES: Mapping[type[StrEnum], frozenset[tuple[StrEnum, StrEnum]]] = {
    TransactionStatus: frozenset(TRANSACTION_MOVES),
    ResultStatus: frozenset(RESULT_MOVES),
    SliceStatus: frozenset(SLICE_MOVES),
    BatchStatus: frozenset(BATCH_MOVES),
}


class IllegalMoveError(RuntimeError):
    """Somebody tried a move that is not in the table: a bug, not an answer for a caller."""


def can_move(old: _Status, new: _Status) -> bool:
    """Whether the table knows this move; staying where one is, is none."""
    return (old, new) in _MOVES[type(old)]


def assert_move(old: _Status, new: _Status) -> None:
    """Raises ``IllegalMoveError`` for a move that the table does not know."""
    if not can_move(old, new):
        raise IllegalMoveError(f"{type(old).__name__}: {old.value} → {new.value}")


def batch_status(counts: Mapping[ResultStatus, int]) -> BatchStatus:
    """What a batch that has begun is, from how many of its results are in each status.

    Args:
        counts: Results by status; missing statuses count zero.

    Raises:
        ValueError: Without any result, since a batch names at least one reading.
    """
    total = sum(counts.values())
    if total == 0:
        raise ValueError("a batch without results has no status")
    minted = sum(counts.get(status, 0) for status in SUCCEEDED_RESULTS)
    if any(counts.get(status, 0) for status in OPEN_RESULTS):
        return BatchStatus.RUNNING
    if minted == total:
        return BatchStatus.SUCCEEDED
    if minted:
        return BatchStatus.PARTIALLY_SUCCEEDED
    if counts.get(ResultStatus.CANCELLED, 0) == total:
        return BatchStatus.CANCELLED
    return BatchStatus.FAILED


def reading_status(result: ResultStatus, permanent: bool) -> ReadingStatus:
    """What a reading is while this is its last result.

    Args:
        result: Status of the reading's last result.
        permanent: Whether a failure stays: a permanent error, or no attempts left.
    """
    if result is ResultStatus.FAILED:
        return "failed" if permanent else "retrying"
    return _READING_OF[result]


_READING_OF: Mapping[ResultStatus, ReadingStatus] = {
    _R.PENDING: "minting",
    _R.IN_DOUBT: "in_doubt",
    _R.CONFIRMED: "minted",
    _R.FINALIZED: "minted",
    _R.CANCELLED: "pending",
}
