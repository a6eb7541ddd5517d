"""Work that workers die of: counted, parked, tried again, and forgiven when it moves.

Killing a worker is nobody's fault, mostly: only a death that whoever guards the worker saw, of that
one process alone, counts against what it held, and only if nothing of that had moved since it was
claimed (``MintSlice.starts``). So does an error that no part of the driver has an answer to.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta
from typing import Any
from uuid import UUID

import structlog
from django.db.models import F, Q
from django.db.models.functions import Now

from minting.engine.states import SliceStatus, assert_move
from minting.journal.phase import atomic_phase
from minting.models import MintSlice

log = structlog.get_logger(__name__)

MAX_DEATHS = 5
"""Workers that may die of a slice before it is parked."""

PARKED_FOR = timedelta(minutes=10)
"""Until it is tried again."""


@atomic_phase
def release_of_the_dead(*, worker: str, cause: str = "") -> int:
    """Frees what a worker held that is known to be gone, without waiting for the lease.

    Args:
        worker: As it claimed.
        cause: How it died, where it died alone and unasked; else its death counts for nothing.

    Returns:
        How many slices are free again, or parked.
    """
    held = list(
        MintSlice.objects.select_for_update()
        .filter(status=SliceStatus.RUNNING, claimed_by=worker)
        .order_by("id")
    )
    if not held:
        return 0
    assert_move(SliceStatus.RUNNING, SliceStatus.QUEUED)
    MintSlice.objects.filter(id__in=[slice_.id for slice_ in held]).update(
        status=SliceStatus.QUEUED, claim=None, claimed_by="", lease_until=None
    )
    if cause:
        _count([slice_.id for slice_ in held if slice_.starts], cause)
    return len(held)


@atomic_phase
def blame(slice_ids: Collection[UUID], cause: str) -> None:
    """A worker lives, but what it did with these slices broke; counts where nothing moved.

    Args:
        slice_ids: What it held, locked by the caller.
        cause: How its work broke.
    """
    _count(MintSlice.objects.filter(id__in=slice_ids, starts__gt=0).values_list("id"), cause)


@atomic_phase
def forgive(slice_ids: Collection[UUID]) -> None:
    """Something of these slices moved: earlier fruitless starts and deaths are forgotten."""
    MintSlice.objects.filter(
        Q(starts__gt=0) | Q(deaths__gt=0) | Q(parked_until__isnull=False), id__in=slice_ids
    ).update(starts=0, deaths=0, parked_until=None, parked_reason="")


def _count(slice_ids: Any, cause: str) -> None:
    """One more death each; those with too many are parked."""
    slices = MintSlice.objects.filter(id__in=slice_ids)
    slices.update(deaths=F("deaths") + 1)
    for slice_ in slices.filter(deaths__gte=MAX_DEATHS):
        reason = (
            f"{slice_.deaths} workers failed one after another while they held it, and nothing of "
            f"it moved; the last {cause}. It is tried again every "
            f"{PARKED_FOR.seconds // 60} minutes."
        )
        MintSlice.objects.filter(id=slice_.id).update(
            parked_until=Now() + PARKED_FOR, parked_reason=reason
        )
        log.error(
            "slice_parked", slice_id=str(slice_.id), batch_id=str(slice_.batch_id), reason=reason
        )
