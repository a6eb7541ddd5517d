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
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import structlog
from django.db.models import Exists, OuterRef, Q
from django.db.models.functions import Now

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
from minting.journal.phase import atomic_phase
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
class Moved:
    """A result that changed its status, as it was before."""

    id: UUID
    batch_id: UUID
    slice_id: UUID | None
    reading_id: UUID
    old: ResultStatus


@atomic_phase
def move_results(
    which: Q,
    *,
    old: Collection[ResultStatus],
    new: ResultStatus,
    reason: str = "",
    code: str = "",
    columns: Mapping[str, Any] | None = None,
) -> list[Moved]:
    """Moves the results that match ``which`` and are in one of ``old`` to ``new``.

    Args:
        which: Which results, by id, transaction, slice or batch.
        old: The statuses that are compared with before setting.
        new: The status that is set.
        reason: Sentence for ``error``.
        code: For ``error_code`` and the reading's ``code``.
        columns: Further columns of the result to set.

    Returns:
        What moved; results in another status are left as they are.
    """
    lock_slices(MintResult.objects.filter(which, status__in=old).order_by().values_list("slice_id"))
    rows = [
        Moved(id_, batch, slice_, reading, ResultStatus(status))
        for id_, batch, slice_, reading, status in MintResult.objects.select_for_update()
        .filter(which, status__in=old)
        .order_by("id")
        .values_list("id", "batch_id", "slice_id", "reading_id", "status")
    ]
    if not rows:
        return rows
    for status in {row.old for row in rows if row.old is not new}:
        assert_move(status, new)
    MintResult.objects.filter(id__in=[row.id for row in rows]).update(
        status=new, error=reason, error_code=code, **(columns or {})
    )
    # Automatic retries would make a transient failure "retrying"; until there are any, it failed.
    status_of_reading = reading_status(new, permanent=True)
    # A reading that is free again has nothing to explain; one that failed has.
    told = code if new is ResultStatus.FAILED else ""
    queries.set_status((row.reading_id, status_of_reading, told, row.id) for row in rows)
    _close_or_reopen_slices({row.slice_id for row in rows if row.slice_id})
    _count(rows, new)
    return rows


@atomic_phase
def refuse_results(refusals: Sequence[Refusal]) -> int:
    """Ends unsigned results with their reasons; what got a transaction meanwhile stays.

    Returns:
        How many results ended.
    """
    return sum(
        len(
            move_results(
                Q(id__in=refusal.result_ids, transaction__isnull=True),
                old={ResultStatus.PENDING},
                new=ResultStatus.FAILED,
                reason=refusal.reason,
                code=refusal.code,
                columns={"permanent": refusal.permanent, "settled_at": Now()},
            )
        )
        for refusal in refusals
    )


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


def _count(rows: Sequence[Moved], new: ResultStatus) -> None:
    """Adds the moves to the counters of their batches and ends or reopens these."""
    succeeded: Counter[UUID] = Counter()
    ended: Counter[UUID] = Counter()
    for row in rows:
        succeeded[row.batch_id] += (new in SUCCEEDED_RESULTS) - (row.old in SUCCEEDED_RESULTS)
        ended[row.batch_id] += (new in ENDED_WITHOUT_TOKENS) - (row.old in ENDED_WITHOUT_TOKENS)
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
        if old is BatchStatus.QUEUED and new in SUCCEEDED_BATCHES:
            # Settled by recovery before any task had claimed it again.
            assert_move(old, BatchStatus.RUNNING)
            old = BatchStatus.RUNNING
        assert_move(old, new)
        changes |= {
            "status": new,
            "finished_at": Now(),
            "error_code": (
                "partially_successful" if new is BatchStatus.PARTIALLY_SUCCEEDED else ""
            ),
        }
        log.info(
            "batch_finished",
            batch_id=str(batch.id),
            status=new.value,
            successful=batch.successful_mints,
            failed=batch.failed_mints,
        )
    elif batch.pending_mints and old in FINAL_BATCHES:
        assert_move(old, BatchStatus.RUNNING)
        changes |= {"status": BatchStatus.RUNNING, "finished_at": None, "error_code": ""}
        log.error("batch_reopened", batch_id=str(batch.id), was=old.value)
    MintBatch.objects.filter(id=batch.id).update(**changes)


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
