"""What the chain said, applied once however often it is said (I5)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import structlog
from django.db.models import F, OuterRef, Q, Subquery
from django.db.models.functions import Coalesce, Now

from minting.engine.states import (
    OPEN_RESULTS,
    SUCCEEDED_RESULTS,
    ResultStatus,
    TransactionStatus,
    assert_move,
)
from minting.engine.types import Commitment
from minting.journal.phase import atomic_phase
from minting.journal.results import move_results
from minting.models import MintBatch, MintResult, MintTransaction

log = structlog.get_logger(__name__)

MAX_SIGNATURES_ALONE = 3
"""Transactions signed for a wallet that made one of them land with an error."""

MAX_SIGNATURES = 10
"""Transactions signed for a result whose neighbours, or nobody, made them fail."""

_OPEN = (TransactionStatus.SIGNED, TransactionStatus.SENT)


@dataclass(frozen=True, slots=True)
class Landing:
    """A transaction seen on chain without error."""

    transaction_id: UUID
    slot: int
    commitment: Commitment
    """``confirmed`` or ``finalized``; a processed one is not told."""


@dataclass(frozen=True, slots=True)
class OnChainError:
    """A transaction seen on chain with an error."""

    transaction_id: UUID
    slot: int
    err: object


@dataclass(frozen=True, slots=True)
class Expiry:
    """A transaction proven dead, and the proof."""

    transaction_id: UUID
    evidence: dict[str, Any]


@atomic_phase
def record_landed(landings: Sequence[Landing], *, success_at: Commitment) -> int:
    """Settles transactions that landed without error; returns how many moved.

    A finalized landing overrides a confirmed one, with its slot. Results succeed when the landing
    has reached ``success_at`` (``SOLANA_COMMITMENT``).
    """
    latest = {landing.transaction_id: landing for landing in landings}
    rows = _lock(latest, *_OPEN, TransactionStatus.CONFIRMED)
    moved = [row for row in rows if _land(row, latest[row.id])]
    _succeed(latest, success_at=success_at)
    for row in moved:
        if row.status != TransactionStatus.CONFIRMED:
            _pay(row, rent=row.rent_lamports)
    return len(moved)


@atomic_phase
def record_error_seen(error: OnChainError) -> None:
    """Notes an error that is not final yet; it frees nothing."""
    MintTransaction.objects.filter(id=error.transaction_id, status__in=_OPEN).update(
        status=TransactionStatus.SENT, error=error.err, sent_at=Coalesce("sent_at", Now())
    )


@atomic_phase
def record_failed(
    error: OnChainError, *, code: str, reason: str, blamed: str | None = None
) -> bool:
    """A finalized error: the fee is paid, the results are free again.

    They go back to pending. Those of the wallet that made it fail travel alone from now on, three
    times at most; its neighbours are planned as before, though not for ever.

    Args:
        error: What the finalized chain says.
        code: For results that have no attempts left.
        reason: The sentence that goes with it.
        blamed: The wallet whose instruction failed; ``None`` where none is to blame.
    """
    row = _lock_one(error.transaction_id, *_OPEN, TransactionStatus.CONFIRMED)
    if row is None:
        return False
    MintTransaction.objects.filter(id=row.id).update(
        status=TransactionStatus.FAILED, slot=error.slot, error=error.err, finalized_at=Now()
    )
    log.error(
        "transaction_failed",
        batch_id=str(row.batch_id),
        signature=row.signature,
        slot=error.slot,
        err=error.err,
        blamed=blamed,
    )
    # Back to open first: a confirmed result whose transaction failed after all has lost its slot.
    _release(Q(transaction_id=row.id), old=SUCCEEDED_RESULTS | OPEN_RESULTS)
    freed = Q(batch_id=row.batch_id, reading_id__in=row.reading_ids, transaction__isnull=True)
    MintResult.objects.filter(
        freed, status=ResultStatus.PENDING, wallet_address=blamed or ""
    ).update(alone=True)
    worn_out = Q(alone=True, attempts__gte=MAX_SIGNATURES_ALONE) | Q(attempts__gte=MAX_SIGNATURES)
    move_results(
        freed & worn_out,
        old={ResultStatus.PENDING},
        new=ResultStatus.FAILED,
        reason=reason,
        code=code,
        columns={"settled_at": Now()},
    )
    if row.status == TransactionStatus.CONFIRMED:
        _pay(row, rent=row.rent_lamports, sign=-1)
    _pay(row, rent=0)
    return True


@atomic_phase
def record_vanished(transaction_id: UUID) -> bool:
    """A confirmed transaction whose fork lost: back to sent, in doubt, to be sent again."""
    row = _lock_one(transaction_id, TransactionStatus.CONFIRMED)
    if row is None:
        return False
    assert_move(TransactionStatus.CONFIRMED, TransactionStatus.SENT)
    MintTransaction.objects.filter(id=row.id).update(
        status=TransactionStatus.SENT, slot=None, confirmed_at=None, doubted_at=Now()
    )
    log.error(
        "transaction_vanished",
        batch_id=str(row.batch_id),
        signature=row.signature,
        slot=row.slot,
    )
    move_results(
        Q(transaction_id=row.id),
        old=OPEN_RESULTS | SUCCEEDED_RESULTS - {ResultStatus.FINALIZED},
        new=ResultStatus.IN_DOUBT,
        columns={"tx_signature": "", "slot": None, "settled_at": None},
    )
    _pay(row, rent=row.rent_lamports, sign=-1)
    return True


@atomic_phase
def record_doubt(transaction_id: UUID, why: dict[str, Any]) -> bool:
    """A transaction past its due time whose fate is not proven: staff see it."""
    row = _lock_one(transaction_id, *_OPEN)
    if row is None:
        return False
    MintTransaction.objects.filter(id=row.id).update(
        doubted_at=Coalesce("doubted_at", Now()), evidence=why
    )
    move_results(Q(transaction_id=row.id), old={ResultStatus.PENDING}, new=ResultStatus.IN_DOUBT)
    return True


@atomic_phase
def record_expired(expiry: Expiry) -> bool:
    """Proven dead: evidence, state and the release of the results are one commit (I4)."""
    row = _lock_one(expiry.transaction_id, *_OPEN)
    if row is None:
        return False
    assert_move(TransactionStatus(row.status), TransactionStatus.EXPIRED)
    MintTransaction.objects.filter(id=row.id).update(
        status=TransactionStatus.EXPIRED, evidence=expiry.evidence
    )
    _release(Q(transaction_id=row.id), old=OPEN_RESULTS)
    log.warning("transaction_expired", batch_id=str(row.batch_id), signature=row.signature)
    return True


def _lock(transaction_ids: Collection[UUID], *statuses: TransactionStatus) -> list[MintTransaction]:
    """Those of the transactions that are still in one of ``statuses``, locked by id."""
    return list(
        MintTransaction.objects.select_for_update()
        .filter(id__in=transaction_ids, status__in=statuses)
        .order_by("id")
    )


def _lock_one(transaction_id: UUID, *statuses: TransactionStatus) -> MintTransaction | None:
    """The transaction, locked, if it is still in one of ``statuses``."""
    return next(iter(_lock([transaction_id], *statuses)), None)


def _land(row: MintTransaction, landing: Landing) -> bool:
    """Moves one transaction to where it was seen; ``row`` keeps the status that it had."""
    final = landing.commitment is Commitment.FINALIZED
    new = TransactionStatus.FINALIZED if final else TransactionStatus.CONFIRMED
    if row.status == new:
        return False
    assert_move(TransactionStatus(row.status), new)
    MintTransaction.objects.filter(id=row.id).update(
        status=new,
        slot=landing.slot,
        error=None,
        confirmed_at=Coalesce("confirmed_at", Now()),
        finalized_at=Now() if final else None,
    )
    # Each is told once to people, as soon as it counts; that it became final is routine.
    tell = log.debug if row.status == TransactionStatus.CONFIRMED else log.info
    tell(
        "transaction_landed",
        batch_id=str(row.batch_id),
        signature=row.signature,
        slot=landing.slot,
        commitment=landing.commitment.value,
    )
    return True


def _succeed(transaction_ids: Collection[UUID], *, success_at: Commitment) -> None:
    """Moves the results of landed transactions to where the transactions are."""
    landed = MintTransaction.objects.filter(pk=OuterRef("transaction_id"))
    columns = {
        "tx_signature": Subquery(landed.values("signature")),
        "slot": Subquery(landed.values("slot")),
        "settled_at": Coalesce("settled_at", Now()),
    }
    mine = Q(transaction_id__in=transaction_ids)
    if success_at is Commitment.CONFIRMED:
        move_results(
            mine & Q(transaction__status=TransactionStatus.CONFIRMED),
            old=OPEN_RESULTS,
            new=ResultStatus.CONFIRMED,
            columns=columns,
        )
    move_results(
        mine & Q(transaction__status=TransactionStatus.FINALIZED),
        old=OPEN_RESULTS | {ResultStatus.CONFIRMED},
        new=ResultStatus.FINALIZED,
        columns=columns,
    )


def _release(which: Q, *, old: frozenset[ResultStatus]) -> None:
    """Takes results off their transaction and makes them pending, to be planned anew."""
    columns = {"transaction": None, "tx_signature": "", "slot": None, "settled_at": None}
    move_results(which, old=old, new=ResultStatus.PENDING, columns=columns)


def _pay(row: MintTransaction, *, rent: int, sign: int = 1) -> None:
    """Adds what a landing cost to its batch, or takes it back."""
    MintBatch.objects.filter(id=row.batch_id).update(
        fee_paid_lamports=F("fee_paid_lamports")
        + sign * (row.network_fee_lamports + row.priority_fee_lamports),
        rent_paid_lamports=F("rent_paid_lamports") + sign * rent,
    )
