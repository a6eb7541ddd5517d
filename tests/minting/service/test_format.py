"""A node that does not take v1 after all: new transactions are v0, and nothing is paid twice."""

from __future__ import annotations

from unittest.mock import patch

import pytest

from gridtoken.embedded.faults import FaultPlan
from minting.models import BatchSource, ChainAnswer, MintBatch, MintTransaction
from minting.service.chain.session import open_session
from minting.service.chain.terms import forget_v1
from minting.service.drive import wave
from minting.service.plan import faults
from minting.service.requests.prepare import request_batch
from readings.models import MeterReading
from tests.factories.village import harvest, village

pytestmark = pytest.mark.django_db(transaction=True)

READINGS = 12


@pytest.fixture
def batch(minting_chain):
    """Of new wallets: two v1 transactions."""
    readings = harvest(village(READINGS))
    yield request_batch(
        [reading.id for reading in readings], source=BatchSource.CLI, strict=True, nudge=False
    )
    minting_chain.net.faults = FaultPlan()


def assert_minted_once(minting_chain, batch: MintBatch) -> None:
    batch.refresh_from_db()
    assert (batch.status, batch.successful_mints) == ("succeeded", READINGS)
    assert minting_chain.supply() == READINGS * 250_000_000
    assert not MeterReading.objects.exclude(status="minted").exists()
    landed = MintTransaction.objects.filter(status__in=["confirmed", "finalized"])
    assert {row.version for row in landed} == {"0"}


def test_refused_when_sending_it_is_proven_dead_and_signed_as_v0(minting_chain, batch, drain):
    """What is journalled as v1 is resent as ever, and nothing new is signed for it before."""
    send = wave.send

    def downgraded(session, flights):
        if {flight.version for flight in flights} == {"1"}:
            minting_chain.net.faults = FaultPlan(no_v1=True)
            send(session, flights)
            minting_chain.net.expire_blockhashes()
        else:
            assert not MintTransaction.objects.filter(version="1").exclude(status="expired")
            send(session, flights)

    with patch.object(wave, "send", downgraded):
        drain()

    assert_minted_once(minting_chain, batch)
    dead = MintTransaction.objects.filter(version="1")
    assert {row.status for row in dead} == {"expired"}
    assert all(row.evidence for row in dead)


def test_refused_when_simulating_nothing_is_signed_as_v1(minting_chain, batch, drain):
    learn = faults.learn

    async def downgraded(session, agreed, plans):
        minting_chain.net.faults = FaultPlan(no_v1=True)
        return await learn(session, agreed, plans)

    with patch.object(wave, "learn", downgraded):
        drain()

    assert_minted_once(minting_chain, batch)
    assert not MintTransaction.objects.filter(version="1").exists()


def test_what_the_setting_fixes_is_not_changed(minting_chain, batch, settings):
    """``BLOCKCHAIN_TRANSACTION_VERSION=1`` means it."""
    settings.BLOCKCHAIN_TRANSACTION_VERSION = "1"
    with open_session() as session:
        assert not forget_v1(session)
    assert not ChainAnswer.objects.filter(question="v1_refused").exists()
