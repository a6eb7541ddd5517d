"""Stopping a batch: what is not signed is free again, what is signed goes its way."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from django.db import transaction

from minting import journal
from minting.engine.states import ResultStatus
from minting.models import BatchSource, MintBatch, MintResult


@dataclass(frozen=True, slots=True)
class Cancellation:
    """What cancelling a batch would do at this moment, in readings."""

    free: int
    """In no transaction: they would be free again."""
    signed: int
    """In one that may still land: it goes its way."""
    done: int
    """With an outcome: it stays."""


def cancellation_of(batch: MintBatch) -> Cancellation:
    """Counts what is not signed, by an index over nothing else; workers go on meanwhile."""
    unsigned = MintResult.objects.filter(
        slice__in=batch.slices.all(), status=ResultStatus.PENDING, transaction__isnull=True
    )
    left = batch.pending_mints
    free = min(unsigned.count(), left)
    return Cancellation(free=free, signed=left - free, done=batch.total_readings - left)


@transaction.atomic
def cancel_batch(batch_id: UUID, *, by: str) -> int:
    """Cancels what is not signed yet; returns how many readings are free again.

    A batch of the poller's pauses it: it would take the same readings again within the minute.

    Raises:
        MintBatch.DoesNotExist: there is no such batch.
    """
    batch = MintBatch.objects.get(id=batch_id)
    journal.withdraw_approval(batch_id)
    freed = journal.cancel_unsigned(batch_id, by=by)
    if freed and batch.source == BatchSource.POLL:
        journal.pause_polling(reason=f"{by} cancelled its batch {batch_id}", by=by)
    return freed
