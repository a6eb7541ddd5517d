"""Taking back what is not signed yet."""

from __future__ import annotations

from uuid import UUID

import structlog
from django.db.models import Q
from django.db.models.functions import Now

from minting.engine.states import ResultStatus
from minting.journal.phase import atomic_phase
from minting.journal.results import lock_slices, move_results
from minting.models import MintBatch, MintSlice

log = structlog.get_logger(__name__)


@atomic_phase
def cancel_unsigned(batch_id: UUID, *, by: str, code: str = "cancelled", reason: str = "") -> int:
    """Cancels the results of a batch that have no transaction; what is signed goes its way.

    Args:
        batch_id: The batch.
        by: Who wants it.
        code: For ``error_code``.
        reason: Sentence for ``error``; that ``by`` cancelled them, unless told otherwise.

    Returns:
        How many readings are free again.
    """
    # All of the batch's slices first: no wave of it can be journalled meanwhile.
    lock_slices(MintSlice.objects.filter(batch=batch_id).values_list("id"))
    moved = move_results(
        Q(batch_id=batch_id, transaction__isnull=True),
        old={ResultStatus.PENDING},
        new=ResultStatus.CANCELLED,
        reason=reason or f"Cancelled by {by} before anything was signed",
        code=code,
        columns={"settled_at": Now()},
    )
    # The first who asked, even where nothing was left to cancel.
    MintBatch.objects.filter(id=batch_id, cancel_requested_at__isnull=True).update(
        cancel_requested_at=Now(), cancel_requested_by=by
    )
    log.info("batch_cancelled", batch_id=str(batch_id), by=by, cancelled=moved)
    return moved
