"""What workers die of is parked; what only happened to be there is not."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import transaction
from django.utils import timezone

from minting import journal
from minting.journal import Refusal
from minting.journal.parking import MAX_DEATHS
from minting.models import MintBatch, MintResult, MintSlice
from tests.minting.admin.journal import open_batch

pytestmark = pytest.mark.django_db

WORKER = "host:1234"


def claim(limit: int = 5) -> set:
    with transaction.atomic():
        return {each.slice_id for each in journal.claim_slices(worker=WORKER, limit=limit)}


def die(cause: str = "was ended by SIGKILL") -> int:
    with transaction.atomic():
        return journal.release_of_the_dead(worker=WORKER, cause=cause)


def slice_of(batch: MintBatch) -> MintSlice:
    return batch.slices.get()


def parked_for(batch: MintBatch) -> timedelta:
    until = slice_of(batch).parked_until
    assert until is not None
    return until - timezone.now()


def move(batch: MintBatch) -> None:
    """One of its readings ends, with a reason."""
    ids = (batch.results.filter(status="pending").first().id,)
    with transaction.atomic():
        journal.refuse_results([Refusal(ids, "frozen", "The account is frozen", permanent=True)])


def test_the_slices_of_the_dead_are_free_before_their_lease_is_over():
    batch = open_batch()
    assert claim() == {slice_of(batch).id}
    assert claim() == set()
    assert die() == 1
    freed = slice_of(batch)
    assert (freed.status, freed.claim, freed.claimed_by) == ("queued", None, "")
    assert claim() == {freed.id}


def test_only_what_the_dead_held_is_freed():
    open_batch()
    claim()
    with transaction.atomic():
        assert journal.release_of_the_dead(worker="host:123") == 0
    assert MintSlice.objects.get().status == "running"


def test_five_deaths_park_a_slice_and_the_reason_is_told():
    batch = open_batch()
    for _ in range(MAX_DEATHS):
        assert claim() == {slice_of(batch).id}
        die()
    parked = slice_of(batch)
    assert parked.deaths == MAX_DEATHS
    assert timedelta(minutes=9) < parked_for(batch) < timedelta(minutes=11)
    assert parked.parked_reason == (
        "5 workers failed one after another while they held it, and nothing of it moved; the last "
        "was ended by SIGKILL. It is tried again every 10 minutes."
    )
    assert claim() == set()
    assert not MintSlice.objects.waiting().exists()
    assert MintSlice.objects.parked().get() == parked


def test_a_parked_slice_is_tried_again_and_parked_again():
    batch = open_batch()
    for _ in range(MAX_DEATHS):
        claim()
        die()
    MintSlice.objects.update(parked_until=timezone.now())
    assert claim() == {slice_of(batch).id}
    die()
    assert parked_for(batch) > timedelta(minutes=9)
    assert slice_of(batch).parked_reason.startswith("6 workers")


def test_a_death_among_several_or_on_demand_counts_for_nothing():
    batch = open_batch()
    for _ in range(MAX_DEATHS):
        claim()
        die(cause="")
    assert slice_of(batch).deaths == 0


def test_a_death_after_something_moved_counts_for_nothing():
    batch = open_batch(readings=9)
    claim()
    die()
    claim()
    assert slice_of(batch).deaths == 1
    move(batch)
    die()
    assert slice_of(batch).deaths == 0


def test_progress_forgives_what_was_parked():
    batch = open_batch(readings=2)
    MintSlice.objects.update(deaths=5, parked_until=timezone.now(), parked_reason="5 workers died")
    claim()
    move(batch)
    slice_ = slice_of(batch)
    assert (slice_.deaths, slice_.starts, slice_.parked_until) == (0, 0, None)
    assert slice_.parked_reason == ""


def test_what_a_worker_died_of_travels_alone():
    first, second, third = (open_batch() for _ in range(3))
    assert len(claim()) == 3
    die()  # whose fault it was, nobody knows
    assert claim() == {slice_of(first).id}
    move(first)
    die()
    assert claim() == {slice_of(second).id}
    fresh = open_batch()
    with transaction.atomic():
        journal.release_of_the_dead(worker=WORKER)
    MintSlice.objects.filter(batch=second).update(deaths=0)
    # The unsuspected together, past the one that is not.
    assert claim() == {slice_of(second).id, slice_of(fresh).id}
    assert slice_of(third).deaths == 1
    assert MintResult.objects.filter(status="failed").count() == 1
