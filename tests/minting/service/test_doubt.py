"""In doubt on a real chain: the evidence is written down, and looking again is safe."""

from __future__ import annotations

from datetime import timedelta
from unittest.mock import patch

import pytest
from django.db.models import F
from django_q.models import OrmQ

from gridtoken.embedded.faults import FaultPlan
from minting import journal
from minting.engine.types import Commitment
from minting.models import BatchSource, MintTransaction
from minting.service.chain.session import open_session
from minting.service.drive import submit, tracking, wave
from minting.service.drive.doubt import doubt_of, look_again
from minting.service.drive.recover import recover
from minting.service.requests.prepare import request_batch
from minting.tasks import look, prove
from tests.factories.readings import household

pytestmark = pytest.mark.django_db(transaction=True)


def signed_and_never_sent() -> MintTransaction:
    """A worker that died between journal and wire."""
    request_batch([household().reading().id], source=BatchSource.CLI, strict=True)
    with (
        patch.object(wave, "send"),
        patch.object(submit, "STINT", 1.0),
        patch.object(submit, "OVERTIME", 0.0),
        patch.object(tracking, "resend"),
    ):
        look()
    OrmQ.objects.all().delete()
    return MintTransaction.objects.get()


def test_looking_again_sends_the_same_bytes_and_settles(minting_chain):
    row = signed_and_never_sent()
    assert row.status == "signed"

    assert look_again(row.id).status == "sent"
    minting_chain.net.wait_slots(6)
    assert look_again(row.id).status == "confirmed"

    assert MintTransaction.objects.count() == 1
    assert minting_chain.supply() == 250_000_000
    assert not OrmQ.objects.exists()


def test_the_evidence_tells_how_many_blocks_are_left(minting_chain):
    """Past the confirmed height and not past the finalized one: alive, overdue, and told."""
    row = signed_and_never_sent()
    minting_chain.net.faults = FaultPlan(seed=1, drop=1.0)
    with open_session() as session:
        height = session.run(session.cluster.epoch_info(Commitment.CONFIRMED)).block_height
        # As if its life had just ended, 200 slots after signing; finality is 32 blocks behind.
        MintTransaction.objects.update(
            last_valid_block_height=height - 2,
            blockhash_slot=F("blockhash_slot") - 200,
            signed_at=F("signed_at") - timedelta(seconds=10),
        )
        recover(session)
    minting_chain.net.faults = FaultPlan()

    row.refresh_from_db()
    told = doubt_of(row)
    assert told is not None
    assert told.node
    assert told.finalized_height is not None
    assert told.blocks_left == height - 2 + 1 - told.finalized_height
    assert 0 < told.blocks_left <= 40
    assert told.certain_at is not None
    assert told.asked_at is not None
    assert told.certain_at > told.asked_at
    assert "may land" in told.why
    assert row.results.get().status == "in_doubt"


def test_a_look_asks_a_worker_for_the_proof_which_frees_the_reading(minting_chain, drain):
    row = signed_and_never_sent()
    # The chain forgets its blockhash, and its life is over: nothing can land any more.
    minting_chain.net.expire_blockhashes()
    with open_session() as session:
        height = session.run(session.cluster.epoch_info(Commitment.CONFIRMED)).block_height
    MintTransaction.objects.update(last_valid_block_height=height - 1)
    minting_chain.net.wait_slots(40)

    seen = look_again(row.id)

    assert seen.doubted_at is not None
    assert seen.status == "signed"
    assert OrmQ.objects.count() == 1
    assert prove(str(row.id)) is True
    row.refresh_from_db()
    assert row.status == "expired"
    assert doubt_of(row) is None
    drain()
    assert minting_chain.supply() == 250_000_000
    assert prove(str(row.id)) is False


def test_who_is_in_no_doubt_is_left_alone(minting_chain, drain):
    request_batch([household().reading().id], source=BatchSource.CLI, strict=True)
    drain()
    row = MintTransaction.objects.get()
    assert look_again(row.id).status in {"confirmed", "finalized"}
    assert doubt_of(row) is None
    assert journal.current_stop() is None
