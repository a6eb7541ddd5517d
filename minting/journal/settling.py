"""What the chain said, applied once however often it is said (I5)."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import structlog
from django.db import connection
from django.db.models import OuterRef, Q, Subquery
from django.db.models.functions import Coalesce, Now

from minting.engine.events import EventType
from minting.engine.retries import NO_RETRIES, RetryPolicy
from minting.engine.states import (
    OPEN_RESULTS,
    SUCCEEDED_RESULTS,
    ResultStatus,
    TransactionStatus,
    assert_move,
)
from minting.engine.types import Commitment
from minting.journal.gate import shut_gate
from minting.journal.phase import atomic_phase
from minting.journal.results import fail_results, move_results
from minting.journal.telling import tell_transactions
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
    if len(rows) < len(latest):
        _refuse_resurrected(latest.keys() - {row.id for row in rows}, latest)
    moved = [row for row in rows if _lands(row, latest[row.id])]
    _land([latest[row.id] for row in moved])
    _tell_resolved(moved)
    _succeed([latest[row.id] for row in rows], success_at=success_at)
    _pay([(row, row.rent_lamports) for row in moved if row.status != TransactionStatus.CONFIRMED])
    for row in moved:
        _tell_landed(row, latest[row.id])
    return len(moved)


@atomic_phase
def record_error_seen(error: OnChainError) -> None:
    """Notes an error that is not final yet; it frees nothing."""
    MintTransaction.objects.filter(id=error.transaction_id, status__in=_OPEN).update(
        status=TransactionStatus.SENT, error=error.err, sent_at=Coalesce("sent_at", Now())
    )


@atomic_phase
def record_failed(
    error: OnChainError,
    *,
    code: str,
    reason: str,
    blamed: str | None = None,
    retry: RetryPolicy = NO_RETRIES,
) -> bool:
    """A finalized error: the fee is paid, the results are free again.

    They go back to pending. Those of the wallet that made it fail travel alone from now on, three
    times at most; its neighbours are planned as before, though not for ever.

    Args:
        error: What the finalized chain says.
        code: For results that have no attempts left.
        reason: The sentence that goes with it.
        blamed: The wallet whose instruction failed; ``None`` where none is to blame.
        retry: When results that have no attempts left in this batch are tried again.
    """
    row = _lock_one(error.transaction_id, *_OPEN, TransactionStatus.CONFIRMED)
    if row is None:
        return False
    MintTransaction.objects.filter(id=row.id).update(
        status=TransactionStatus.FAILED, slot=error.slot, error=error.err, finalized_at=Now()
    )
    _tell_resolved([row])
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
    fail_results(freed & worn_out, code=code, reason=reason, permanent=False, retry=retry)
    if row.status == TransactionStatus.CONFIRMED:
        _pay([(row, row.rent_lamports)], sign=-1)
    _pay([(row, 0)])
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
    tell_transactions(EventType.TRANSACTION_IN_DOUBT, [row.id])
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
    _pay([(row, row.rent_lamports)], sign=-1)
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
    if row.doubted_at is None:
        tell_transactions(EventType.TRANSACTION_IN_DOUBT, [row.id])
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
    _tell_resolved([row])
    _release(Q(transaction_id=row.id), old=OPEN_RESULTS)
    log.warning("transaction_expired", batch_id=str(row.batch_id), signature=row.signature)
    return True


def _refuse_resurrected(ids: Collection[UUID], landings: Mapping[UUID, Landing]) -> None:
    """Stops minting if one of them is dead by the journal: its readings may be signed for again."""
    gone = (TransactionStatus.EXPIRED, TransactionStatus.FAILED)
    for row in MintTransaction.objects.filter(id__in=ids, status__in=gone).only(
        "signature", "status"
    ):
        shut_gate(
            f"The transaction {row.signature} landed in slot {landings[row.id].slot}, and the "
            f"journal says that it is {row.status}: manage.py reconcile tells what follows"
        )


def _tell_resolved(rows: Iterable[MintTransaction]) -> None:
    """Tells of those that were in doubt (open, and doubted) before they were written."""
    doubted = [row.id for row in rows if row.status in _OPEN and row.doubted_at is not None]
    tell_transactions(EventType.TRANSACTION_RESOLVED, doubted)


def _lock(transaction_ids: Collection[UUID], *statuses: TransactionStatus) -> list[MintTransaction]:
    """Those of the transactions that are still in one of ``statuses``, locked by id.

    Without what is large; who needs ``reading_ids`` of one has them fetched.
    """
    return list(
        MintTransaction.objects.select_for_update()
        .defer("raw", "memo_root", "reading_ids", "evidence")
        .filter(id__in=transaction_ids, status__in=statuses)
        .order_by("id")
    )


def _lock_one(transaction_id: UUID, *statuses: TransactionStatus) -> MintTransaction | None:
    """The transaction, locked, if it is still in one of ``statuses``."""
    return next(iter(_lock([transaction_id], *statuses)), None)


def _lands(row: MintTransaction, landing: Landing) -> bool:
    """Whether the landing moves the transaction; a confirmed one that is told again does not."""
    if row.status == _landed(landing):
        return False
    assert_move(TransactionStatus(row.status), _landed(landing))
    return True


def _landed(landing: Landing) -> TransactionStatus:
    """Where a landing puts its transaction."""
    final = landing.commitment is Commitment.FINALIZED
    return TransactionStatus.FINALIZED if final else TransactionStatus.CONFIRMED


_LAND = """
UPDATE minting_minttransaction AS tx
SET status = seen.status, slot = seen.slot, error = NULL,
    confirmed_at = coalesce(tx.confirmed_at, statement_timestamp()),
    finalized_at = CASE WHEN seen.status = %s THEN statement_timestamp() END
FROM unnest(%s::uuid[], %s::text[], %s::bigint[]) AS seen (id, status, slot)
WHERE tx.id = seen.id
"""


def _land(landings: Sequence[Landing]) -> None:
    """Moves locked transactions to where they were seen, in one statement."""
    if not landings:
        return
    seen = [(each.transaction_id, _landed(each).value, each.slot) for each in landings]
    columns = [list(column) for column in zip(*seen, strict=True)]
    with connection.cursor() as cursor:
        cursor.execute(_LAND, [TransactionStatus.FINALIZED.value, *columns])


def _tell_landed(row: MintTransaction, landing: Landing) -> None:
    """Each is told once to people, as soon as it counts; that it became final is routine."""
    tell = log.debug if row.status == TransactionStatus.CONFIRMED else log.info
    tell(
        "transaction_landed",
        batch_id=str(row.batch_id),
        signature=row.signature,
        slot=landing.slot,
        commitment=landing.commitment.value,
    )


def _succeed(landings: Sequence[Landing], *, success_at: Commitment) -> None:
    """Moves the results of landed transactions to where the transactions are."""
    landed = MintTransaction.objects.filter(pk=OuterRef("transaction_id"))
    columns = {
        "tx_signature": Subquery(landed.values("signature")),
        "slot": Subquery(landed.values("slot")),
        "settled_at": Coalesce("settled_at", Now()),
    }
    of: dict[TransactionStatus, list[UUID]] = defaultdict(list)
    for landing in landings:
        of[_landed(landing)].append(landing.transaction_id)
    if success_at is Commitment.CONFIRMED and of[TransactionStatus.CONFIRMED]:
        move_results(
            Q(transaction_id__in=of[TransactionStatus.CONFIRMED]),
            old=OPEN_RESULTS,
            new=ResultStatus.CONFIRMED,
            columns=columns,
        )
    if of[TransactionStatus.FINALIZED]:
        move_results(
            Q(transaction_id__in=of[TransactionStatus.FINALIZED]),
            old=OPEN_RESULTS | {ResultStatus.CONFIRMED},
            new=ResultStatus.FINALIZED,
            columns=columns,
        )


def _release(which: Q, *, old: frozenset[ResultStatus]) -> None:
    """Takes results off their transaction and makes them pending, to be planned anew."""
    columns = {"transaction": None, "tx_signature": "", "slot": None, "settled_at": None}
    move_results(which, old=old, new=ResultStatus.PENDING, columns=columns)


_PAY = """
UPDATE minting_mintbatch AS batch
SET fee_paid_lamports = batch.fee_paid_lamports + paid.fee,
    rent_paid_lamports = batch.rent_paid_lamports + paid.rent
FROM unnest(%s::uuid[], %s::bigint[], %s::bigint[]) AS paid (id, fee, rent)
WHERE batch.id = paid.id
"""


def _pay(landed: Iterable[tuple[MintTransaction, int]], *, sign: int = 1) -> None:
    """Adds what landings cost, fees and the rent given, to their batches, or takes it back."""
    fees: Counter[UUID] = Counter()
    rents: Counter[UUID] = Counter()
    for row, rent in landed:
        fees[row.batch_id] += sign * (row.network_fee_lamports + row.priority_fee_lamports)
        rents[row.batch_id] += sign * rent
    if not fees:
        return
    batches = sorted(fees)
    # In their order, as everybody locks several.
    list(MintBatch.objects.select_for_update().filter(id__in=batches).order_by("id").values("id"))
    with connection.cursor() as cursor:
        cursor.execute(
            _PAY, [batches, [fees[each] for each in batches], [rents[each] for each in batches]]
        )
