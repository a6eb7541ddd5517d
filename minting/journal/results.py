"""The one place where a result changes its status, and all that follows from it.

A result's change is its reading's change, its batch's count, and perhaps the end of its slice and
batch. All of it is written here, in the caller's database transaction.

Locks are taken in one order by every step of the journal, so that none waits for another in a
circle: transactions, slices, results, readings, batches; several of a kind in the order of their
ids. (``queries.lock_for_minting`` holds readings first, but only such as have no live result.)
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

import structlog
from django.core.exceptions import EmptyResultSet
from django.db import connection
from django.db.models import Case, DateTimeField, Exists, F, OuterRef, Q, QuerySet, When
from django.db.models.functions import Now

from minting.engine.events import EventType
from minting.engine.retries import NO_RETRIES, RetryPolicy
from minting.engine.states import (
    FINAL_BATCHES,
    OPEN_RESULTS,
    SUCCEEDED_RESULTS,
    BatchStatus,
    ResultStatus,
    SliceStatus,
    assert_move,
    batch_status,
    reading_status,
)
from minting.journal.arrays import UuidArray, joined, one_of, uuid_array
from minting.journal.parking import forgive
from minting.journal.phase import atomic_phase
from minting.journal.telling import tell_batch, tell_failures
from minting.models import MintBatch, MintResult, MintSlice
from readings import queries

log = structlog.get_logger(__name__)

ENDED_WITHOUT_TOKENS = frozenset({ResultStatus.FAILED, ResultStatus.CANCELLED})


@dataclass(frozen=True, slots=True)
class Refusal:
    """Results that end without a transaction, and why."""

    result_ids: tuple[UUID, ...]
    code: str
    reason: str
    permanent: bool


@dataclass(frozen=True, slots=True)
class _Locked:
    """Results that are locked and alike; ids stay PostgreSQL's text, however many they are."""

    batch_id: UUID
    slice_id: UUID | None
    old: ResultStatus
    retry_number: int
    code: str
    permanent: bool
    count: int
    ids: UuidArray
    reading_ids: UuidArray


@atomic_phase
def move_results(
    which: Q,
    *,
    old: Collection[ResultStatus],
    new: ResultStatus,
    reason: str = "",
    code: str = "",
    columns: Mapping[str, Any] | None = None,
) -> int:
    """Moves the results that match ``which`` and are in one of ``old`` to ``new``.

    The number of statements does not depend on how many move.

    Args:
        which: Which results, by id, transaction, slice or batch.
        old: The statuses that are compared with before setting.
        new: The status that is set.
        reason: Sentence for ``error``.
        code: For ``error_code`` and the reading's ``code``.
        columns: Further columns of the result to set.

    Returns:
        How many moved; results in another status are left as they are.
    """
    explained = {"error": reason, "error_code": code}
    groups = _move(which, old=old, new=new, columns={**explained, **(columns or {})})
    # A reading that is free again has nothing to explain; one that failed has.
    told = code if new is ResultStatus.FAILED else ""
    _follow(groups, new, [(reading_status(new, permanent=True), told)] * len(groups))
    return sum(group.count for group in groups)


@atomic_phase
def fail_results(which: Q, *, code: str, reason: str, permanent: bool, retry: RetryPolicy) -> int:
    """Ends pending results that have no transaction; a transient failure may get its retry.

    Args:
        which: Which results.
        code: For ``error_code`` and the reading's ``code``.
        reason: Sentence for ``error``.
        permanent: Whether trying again would fail the same way; then there is no retry.
        retry: When a transient failure is tried again, and how often.

    Returns:
        How many ended; results that got a transaction meanwhile are left as they are.
    """
    policy = NO_RETRIES if permanent else retry
    explained = {"error": reason, "error_code": code, "permanent": permanent}
    groups = _fail(which, policy, explained)
    return _ended([replace(each, code=code, permanent=permanent) for each in groups], policy)


@atomic_phase
def refuse_results(refusals: Sequence[Refusal], *, retry: RetryPolicy = NO_RETRIES) -> int:
    """Ends unsigned results with their reasons; what got a transaction meanwhile stays.

    Args:
        refusals: Which, and why; any number, in a constant number of statements.
        retry: When what is not permanent is tried again.

    Returns:
        How many results ended.
    """
    told = [
        (id_, each.code, each.reason, each.permanent)
        for each in refusals
        for id_ in each.result_ids
    ]
    if not told:
        return 0
    ids, *rest = (list(column) for column in zip(*told, strict=True))
    mine = Q(id__in=one_of(uuid_array(ids)))
    lock_slices(MintResult.objects.filter(mine).order_by().values_list("slice_id"))
    with connection.cursor() as cursor:
        cursor.execute(_EXPLAIN, [ids, *rest, ResultStatus.PENDING.value])
    return _ended(_fail(mine, retry, {}), retry)


def _fail(which: Q, policy: RetryPolicy, explained: Mapping[str, Any]) -> list[_Locked]:
    """Moves pending results without a transaction to failed."""
    columns = {**explained, "settled_at": Now(), "retry_at": _retry_at(policy)}
    unsigned = which & Q(transaction__isnull=True)
    return _move(unsigned, old={ResultStatus.PENDING}, new=ResultStatus.FAILED, columns=columns)


def _ended(groups: Sequence[_Locked], policy: RetryPolicy) -> int:
    """What follows from failures, whose code and permanence the groups tell."""
    told = [
        (
            reading_status(
                ResultStatus.FAILED,
                permanent=each.permanent or not policy.has_attempt_left(each.retry_number),
            ),
            each.code,
        )
        for each in groups
    ]
    tell_failures(
        [each.ids for each, (status, _) in zip(groups, told, strict=True) if status == "failed"]
    )
    _follow(groups, ResultStatus.FAILED, told)
    return sum(each.count for each in groups)


_EXPLAIN = """
UPDATE minting_mintresult AS result
SET error_code = told.code, error = told.reason, permanent = told.permanent
FROM unnest(%s::uuid[], %s::text[], %s::text[], %s::boolean[])
    AS told (id, code, reason, permanent)
WHERE result.id = told.id AND result.status = %s AND result.transaction_id IS NULL
"""
"""The move that follows takes the reasons from the rows. Their slices are locked by then, so the
order in which this locks them matters to nobody."""

_GROUP = """
SELECT batch_id, slice_id, status, retry_number, error_code, permanent,
       count(*), array_agg(id)::text, array_agg(reading_id)::text
FROM ({locked}) AS locked
GROUP BY batch_id, slice_id, status, retry_number, error_code, permanent
"""


def _move(
    which: Q,
    *,
    old: Collection[ResultStatus],
    new: ResultStatus,
    columns: Mapping[str, Any],
) -> list[_Locked]:
    """Locks slices, then results, and writes these; returns them as they were."""
    matching = MintResult.objects.filter(which, status__in=old)
    lock_slices(matching.order_by().values_list("slice_id"))
    groups = _lock_results(matching)
    for status in {group.old for group in groups if group.old is not new}:
        assert_move(status, new)
    if groups:
        moving = one_of(joined(group.ids for group in groups))
        MintResult.objects.filter(id__in=moving).update(status=new, **{"retry_at": None, **columns})
    return groups


def _lock_results(matching: QuerySet[MintResult]) -> list[_Locked]:
    """Locks results in the order of their ids and groups those that are alike."""
    chosen = (
        matching.select_for_update(of=("self",))
        .order_by("id")
        .values(
            "id",
            "batch_id",
            "slice_id",
            "reading_id",
            "status",
            "retry_number",
            "error_code",
            "permanent",
        )
    )
    try:
        locked, parameters = chosen.query.sql_with_params()
    except EmptyResultSet:
        return []  # Django knows without asking
    with connection.cursor() as cursor:
        cursor.execute(_GROUP.format(locked=locked), parameters)
        return [
            _Locked(batch, slice_, ResultStatus(status), *rest)
            for batch, slice_, status, *rest in cursor.fetchall()
        ]


def _follow(groups: Sequence[_Locked], new: ResultStatus, told: Sequence[tuple[str, str]]) -> None:
    """What hangs on moved results: readings, slices, the batches' counters and their end.

    Args:
        groups: What moved, as it was before.
        new: Where it is now.
        told: For each group the status and the code of its readings.
    """
    if not groups:
        return
    queries.set_alike(
        queries.Alike(group.reading_ids, group.ids, status, code)
        for group, (status, code) in zip(groups, told, strict=True)
    )
    _close_or_reopen_slices({group.slice_id for group in groups if group.slice_id})
    _count(groups, new)


def _retry_at(policy: RetryPolicy) -> Case:
    """When a result that fails now is tried again, by its number.

    Null after the last attempt, and where the row says already that its failure stays.
    """
    return Case(
        *(
            When(retry_number=number, permanent=False, then=Now() + policy.delay(number))
            for number in range(policy.max_attempts)
        ),
        default=None,
        output_field=DateTimeField(null=True),
    )


@atomic_phase
def record_inserted(batch_id: UUID, succeeded: int, *, fee: int, rent: int) -> None:
    """Counts results that were inserted as succeeded, and what their transaction cost.

    Args:
        batch_id: Their batch; it grows by them.
        succeeded: How many.
        fee: Lamports, network and priority fee.
        rent: Lamports.
    """
    batch = MintBatch.objects.select_for_update().get(id=batch_id)
    batch.total_readings += succeeded
    batch.successful_mints += succeeded
    MintBatch.objects.filter(id=batch_id).update(
        total_readings=batch.total_readings,
        successful_mints=batch.successful_mints,
        fee_paid_lamports=F("fee_paid_lamports") + fee,
        rent_paid_lamports=F("rent_paid_lamports") + rent,
    )
    _end_or_reopen(batch)


def lock_slices(slice_ids: Any) -> dict[UUID, UUID | None]:
    """Locks slices in the order of their ids; their claims, by id.

    Args:
        slice_ids: Ids, or a queryset of them.
    """
    return dict(
        MintSlice.objects.select_for_update()
        .filter(id__in=slice_ids)
        .order_by("id")
        .values_list("id", "claim")
    )


def _count(groups: Sequence[_Locked], new: ResultStatus) -> None:
    """Adds the moves to the counters of their batches and ends or reopens these."""
    succeeded: Counter[UUID] = Counter()
    ended: Counter[UUID] = Counter()
    for group in groups:
        succeeded[group.batch_id] += group.count * (
            (new in SUCCEEDED_RESULTS) - (group.old in SUCCEEDED_RESULTS)
        )
        ended[group.batch_id] += group.count * (
            (new in ENDED_WITHOUT_TOKENS) - (group.old in ENDED_WITHOUT_TOKENS)
        )
    for batch in MintBatch.objects.select_for_update().filter(id__in=set(succeeded)).order_by("id"):
        batch.successful_mints += succeeded[batch.id]
        batch.failed_mints += ended[batch.id]
        _end_or_reopen(batch)


def _end_or_reopen(batch: MintBatch) -> None:
    """Writes the counters, and the status that follows from them."""
    changes: dict[str, Any] = {
        "successful_mints": batch.successful_mints,
        "failed_mints": batch.failed_mints,
    }
    old = BatchStatus(batch.status)
    if batch.pending_mints == 0 and old not in FINAL_BATCHES:
        new = _outcome(batch)
        if old in NOT_BEGUN and new in SUCCEEDED_BATCHES:
            # Settled by recovery before any task had claimed it again, or adopted.
            assert_move(old, BatchStatus.RUNNING)
            old = BatchStatus.RUNNING
        assert_move(old, new)
        partly = "partially_successful" if new is BatchStatus.PARTIALLY_SUCCEEDED else ""
        changes |= {"status": new, "finished_at": Now(), "error_code": partly}
        log.info(
            "batch_finished",
            batch_id=str(batch.id),
            status=new.value,
            successful=batch.successful_mints,
            failed=batch.failed_mints,
        )
        tell_batch(EventType.BATCH_FINISHED, batch, new)
    elif batch.pending_mints and old in FINAL_BATCHES:
        assert_move(old, BatchStatus.RUNNING)
        changes |= {"status": BatchStatus.RUNNING, "finished_at": None, "error_code": ""}
        log.error("batch_reopened", batch_id=str(batch.id), was=old.value)
        tell_batch(EventType.BATCH_REOPENED, batch, BatchStatus.RUNNING)
    MintBatch.objects.filter(id=batch.id).update(**changes)


NOT_BEGUN = frozenset({BatchStatus.QUEUED, BatchStatus.AWAITING_APPROVAL})
SUCCEEDED_BATCHES = frozenset({BatchStatus.SUCCEEDED, BatchStatus.PARTIALLY_SUCCEEDED})


def _outcome(batch: MintBatch) -> BatchStatus:
    """The final status; only a batch without a single success needs a look at its failures."""
    if batch.successful_mints:
        return batch_status(
            {
                ResultStatus.CONFIRMED: batch.successful_mints,
                ResultStatus.FAILED: batch.failed_mints,
            }
        )
    failed = MintResult.objects.filter(batch=batch, status=ResultStatus.FAILED).exists()
    return BatchStatus.FAILED if failed else BatchStatus.CANCELLED


def _close_or_reopen_slices(slice_ids: set[UUID]) -> None:
    """A slice is done when none of its results is open; a fork can open it again."""
    if not slice_ids:
        return
    forgive(slice_ids)
    slices: dict[bool, list[UUID]] = defaultdict(list)
    open_results = MintResult.objects.filter(slice=OuterRef("pk"), status__in=OPEN_RESULTS)
    for slice_id, status, has_open in (
        MintSlice.objects.filter(id__in=slice_ids)
        .order_by("id")
        .annotate(has_open=Exists(open_results))
        .values_list("id", "status", "has_open")
    ):
        if has_open == (status == SliceStatus.DONE):
            assert_move(SliceStatus(status), SliceStatus.QUEUED if has_open else SliceStatus.DONE)
            slices[has_open].append(slice_id)
    MintSlice.objects.filter(id__in=slices[False]).update(
        status=SliceStatus.DONE, claim=None, claimed_by="", lease_until=None
    )
    MintSlice.objects.filter(id__in=slices[True]).update(status=SliceStatus.QUEUED)
