"""Who works on which slice: compare-and-set with a lease, and a fence.

Safety does not rest on the lease. A worker that sleeps past it finds its claim gone when it next
writes (``signing.record_signed`` compares the claim), and what it has signed by then is in the
journal for whoever claims the slice next.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar
from uuid import UUID, uuid4

import structlog
from django.db.models import F, Q
from django.db.models.functions import Coalesce, Now

from gridtoken import following
from minting.engine.states import BatchStatus, SliceStatus, assert_move
from minting.journal.parking import blame
from minting.journal.phase import atomic_phase
from minting.journal.results import lock_slices
from minting.models import MintBatch, MintSlice

log = structlog.get_logger(__name__)

S = TypeVar("S", bound=MintSlice)

LEASE = timedelta(seconds=60)
"""Long against a driver's step (seconds), short against a person's patience."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A slice that this worker drives, as long as ``token`` is the row's claim."""

    slice_id: UUID
    batch_id: UUID
    token: UUID


@atomic_phase
def claim_slices(
    *,
    worker: str,
    limit: int,
    batch_id: UUID | None = None,
    beside: Collection[Claim] = (),
) -> list[Claim]:
    """Claims slices that nobody drives and that are not parked, oldest first.

    A slice that a worker died of travels alone, so that the next death blames no neighbour.

    Args:
        worker: Who claims: host and process, as ``parking.release_of_the_dead`` asks for it.
        limit: How many the worker may hold.
        batch_id: Only slices of this batch.
        beside: What it claimed before; those that it still holds count.
    """
    found = MintSlice.objects.waiting().annotate(request_id=F("batch__request_id"))
    found = found.select_for_update(skip_locked=True, of=("self",))
    if beside:
        held = list(MintSlice.objects.filter(_held(beside)).values_list("deaths", flat=True))
        limit -= len(held)
        if limit <= 0 or any(held):
            return []
        found = found.filter(deaths=0)
    if batch_id is not None:
        found = found.filter(batch_id=batch_id)
    claims = []
    for slice_ in _fellows(list(found.order_by("batch_id", "number")[:limit])):
        if slice_.status == SliceStatus.QUEUED:
            assert_move(SliceStatus.QUEUED, SliceStatus.RUNNING)
        else:
            log.warning("slice_taken_over", slice_id=str(slice_.id), was=slice_.claimed_by)
        token = uuid4()
        MintSlice.objects.filter(id=slice_.id).update(
            status=SliceStatus.RUNNING,
            claim=token,
            claimed_by=worker,
            lease_until=Now() + LEASE,
            starts=F("starts") + 1,
        )
        claims.append(Claim(slice_.id, slice_.batch_id, token))
        following.remember(slice_.batch_id, slice_.request_id)
        log.info("slice_claimed", batch_id=str(slice_.batch_id), slice_id=str(slice_.id), by=worker)
    MintBatch.objects.filter(
        id__in={claim.batch_id for claim in claims}, status=BatchStatus.QUEUED
    ).update(status=BatchStatus.RUNNING, started_at=Coalesce("started_at", Now()))
    return claims


@atomic_phase
def renew_claims(claims: Collection[Claim]) -> set[UUID]:
    """Extends the leases and says which slices are still held."""
    lock_slices([claim.slice_id for claim in claims])
    MintSlice.objects.filter(_held(claims)).update(lease_until=Now() + LEASE)
    return set(MintSlice.objects.filter(_held(claims)).values_list("id", flat=True))


@atomic_phase
def hand_back(claims: Collection[Claim], *, broken: str = "") -> int:
    """Gives slices back that are still held and not done.

    Args:
        claims: What was claimed.
        broken: How the driver's work broke, if it did: that counts against what it held.

    Returns:
        How many.
    """
    lock_slices([claim.slice_id for claim in claims])
    if broken:
        held = MintSlice.objects.filter(_held(claims)).values_list("id", flat=True)
        blame(list(held), broken)
    return MintSlice.objects.filter(_held(claims)).update(
        status=SliceStatus.QUEUED, claim=None, claimed_by="", lease_until=None
    )


def _fellows(found: list[S]) -> list[S]:
    """The first alone, if a worker died of it; else all of which none died."""
    if found and found[0].deaths:
        return found[:1]
    return [slice_ for slice_ in found if not slice_.deaths]


def _held(claims: Collection[Claim]) -> Q:
    """Slices whose claim is still the one that was taken."""
    return Q(
        id__in=[claim.slice_id for claim in claims],
        claim__in=[claim.token for claim in claims],
        status=SliceStatus.RUNNING,
    )
