"""What is in doubt for long is the sweep's, and what lands after its death stops minting."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import transaction
from django.db.models import F

from minting import journal
from minting.engine.types import Commitment
from minting.journal import Expiry, Landing
from minting.models import MintBatch, MintingGate, MintResult, MintSlice, MintTransaction
from tests.minting.admin.journal import doubtful_batch, failed_batch, open_batch

pytestmark = pytest.mark.django_db


def claim() -> list[str]:
    with transaction.atomic():
        claims = journal.claim_slices(worker="host:1", limit=5)
    with transaction.atomic():
        journal.hand_back(claims)
    return sorted(str(each.batch_id) for each in claims)


def ids(*batches: MintBatch) -> list[str]:
    return sorted(str(batch.id) for batch in batches)


def doubt_for(minutes: int) -> None:
    MintTransaction.objects.filter(doubted_at__isnull=False).update(
        doubted_at=F("signed_at") - timedelta(minutes=minutes)
    )


def test_a_slice_that_only_waits_for_a_proof_is_driven_for_a_while_and_then_left_to_the_sweep():
    stuck, fresh = doubtful_batch(), open_batch()
    assert claim() == ids(stuck, fresh), "what a fork lost is sent again by whoever drives it"
    doubt_for(minutes=4)
    assert claim() == ids(fresh)
    assert MintSlice.objects.waiting().count() == 1

    with transaction.atomic():
        journal.record_expired(Expiry(stuck.transactions.get().id, {"verdict": "dead"}))

    assert claim() == ids(stuck, fresh), "its readings are free, and somebody has to sign"


def test_a_slice_in_doubt_with_something_to_sign_goes_on():
    batch = doubtful_batch()
    doubt_for(minutes=4)
    result = MintResult.objects.get()
    MintResult.objects.filter(id=result.id).update(slice=None)
    free = open_batch()
    MintResult.objects.filter(batch=free).update(slice=batch.slices.get())

    assert ids(batch)[0] in claim()


def test_i4_what_lands_though_it_was_thought_dead_stops_minting_at_once():
    batch = failed_batch()
    row = batch.transactions.get()
    landing = Landing(row.id, 7, Commitment.CONFIRMED)

    with transaction.atomic():
        assert journal.record_landed([landing], success_at=Commitment.CONFIRMED) == 0

    gate = MintingGate.objects.get()
    assert gate.closed_since is not None
    assert row.signature in gate.reason
    assert "slot 7" in gate.reason
    assert "expired" in gate.reason
    row.refresh_from_db()
    assert row.status == "expired"
