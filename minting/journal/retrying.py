"""Failures that wait for their retry: held while a batch takes them, ended when it cannot."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from uuid import UUID

import structlog
from django.db.models import Q
from django.db.models.functions import Now

from minting.engine.states import ResultStatus, reading_status
from minting.journal.arrays import uuid_array
from minting.journal.phase import atomic_phase
from minting.journal.telling import tell_failures
from minting.models import MintResult
from readings import queries

log = structlog.get_logger(__name__)

_WAITING = Q(status=ResultStatus.FAILED, retry_at__isnull=False)


@dataclass(frozen=True, slots=True)
class Waiting:
    """A failed result that waits for its retry."""

    result_id: UUID
    batch_id: UUID
    retry_number: int
    error_code: str
    due: bool


@atomic_phase
def hold_waiting(reading_ids: Collection[UUID]) -> dict[UUID, Waiting]:
    """Locks what waits for a retry, by reading; a second scheduler waits here and finds nothing.

    Called before the readings themselves are locked: results come first, for everybody.
    """
    rows = (
        MintResult.objects.select_for_update(no_key=True)
        .filter(_WAITING, reading__in=reading_ids)
        .order_by("id")
        .annotate(due=Q(retry_at__lte=Now()))
        .values_list("reading_id", "id", "batch_id", "retry_number", "error_code", "due")
    )
    return {reading: Waiting(*rest) for reading, *rest in rows}


@atomic_phase
def take_waiting(waiting: Collection[Waiting]) -> None:
    """The readings are in a batch again: nothing of the old results is due any more."""
    MintResult.objects.filter(_WAITING, id__in=[each.result_id for each in waiting]).update(
        retry_at=None
    )


@atomic_phase
def give_up_retries(waiting: Mapping[UUID, Waiting]) -> int:
    """Ends waiting where no retry can be: their readings are failed, and a person may decide.

    A reading that is not ``retrying`` any more (corrected, minted by another batch) keeps what it
    is.

    Returns:
        How many readings failed for good.
    """
    take_waiting(waiting.values())
    still = queries.lock_retrying({id_: each.result_id for id_, each in waiting.items()})
    failed = reading_status(ResultStatus.FAILED, permanent=True)
    queries.set_status(
        (reading_id, failed, each.error_code, each.result_id)
        for reading_id, each in waiting.items()
        if reading_id in still
    )
    if still:
        tell_failures([uuid_array(waiting[id_].result_id for id_ in still)])
    log.warning("retries_given_up", readings=len(still))
    return len(still)
