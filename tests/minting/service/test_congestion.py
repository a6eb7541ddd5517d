"""Full blocks, refusals for asking too often, delays: slower, never lost, never doubled."""

from __future__ import annotations

from threading import Timer

import pytest

from gridtoken.embedded.faults import FaultPlan
from minting.models import BatchSource, MintBatch, MintResult, MintTransaction
from minting.service import recover as recovery
from minting.service import submit
from minting.service.prepare import request_batch
from tests.factories.readings import MeterReadingFactory

pytestmark = pytest.mark.django_db(transaction=True)

READINGS = 8
BASE_UNITS = 250_000_000
"""Of each reading of the factory."""


@pytest.fixture
def batch(minting_chain) -> MintBatch:
    """Readings of as many owners: as many transactions."""
    ids = [MeterReadingFactory().id for _ in range(READINGS)]
    return request_batch(ids, source=BatchSource.CLI, strict=True)


@pytest.fixture
def congested(minting_chain):
    """Sets a fault plan, and takes it away after some seconds, or when called again."""
    timers = []

    def congest(plan: FaultPlan, seconds: float | None = None) -> None:
        minting_chain.net.faults = plan
        if seconds is not None:
            timers.append(Timer(seconds, lambda: congest(FaultPlan())))
            timers[-1].start()

    yield congest
    for timer in timers:
        timer.cancel()
        timer.join()
    minting_chain.net.faults = FaultPlan()


def assert_minted_once(chain, batch: MintBatch) -> None:
    batch.refresh_from_db()
    assert (batch.status, batch.successful_mints) == ("succeeded", READINGS)
    assert chain.supply() == READINGS * BASE_UNITS
    assert MintResult.objects.filter(success=True).count() == READINGS


def test_blocks_that_are_full_for_a_while(minting_chain, batch, drain, congested):
    """Within the blockhash's life the same bytes wait for room: nothing is signed twice."""
    congested(FaultPlan(block_capacity=0), seconds=2.5)

    drain()

    assert_minted_once(minting_chain, batch)
    assert not MintResult.objects.exclude(attempts=1).exists()


def test_blocks_with_room_for_one(minting_chain, batch, drain, congested):
    congested(FaultPlan(block_capacity=1))

    drain()

    assert_minted_once(minting_chain, batch)


def test_blocks_that_are_full_for_longer_than_a_blockhash_lives(
    minting_chain, batch, drain, congested, monkeypatch
):
    """Then death is proven first, and only then something new is signed."""
    congested(FaultPlan(block_capacity=0))
    prove_dead = recovery.prove_dead

    def healed(session, flights):
        dead = prove_dead(session, flights)
        congested(FaultPlan())
        return dead

    monkeypatch.setattr(submit, "prove_dead", healed)

    drain()

    assert_minted_once(minting_chain, batch)
    assert MintTransaction.objects.filter(status="expired").exists()
    assert not MintResult.objects.exclude(attempts=2).exists()


def test_a_storm_of_refusals_for_asking_too_often(minting_chain, batch, drain, congested):
    congested(FaultPlan(seed=4, too_many=0.5, retry_after=1), seconds=5)

    drain()

    assert_minted_once(minting_chain, batch)


def test_a_node_that_takes_few_requests_a_second(minting_chain, batch, drain, congested):
    congested(FaultPlan(requests_per_second=8, retry_after=1), seconds=6)

    drain()

    assert_minted_once(minting_chain, batch)


def test_transactions_that_reach_a_leader_late(minting_chain, batch, drain, congested):
    """Some come after the same bytes, sent again, have landed."""
    congested(FaultPlan(seed=2, delay=0.7, delay_slots=50))

    drain()

    assert_minted_once(minting_chain, batch)
    assert not MintResult.objects.exclude(attempts=1).exists()


def test_everything_at_once(minting_chain, batch, drain, congested):
    plan = FaultPlan(
        seed=9,
        drop=0.3,
        delay=0.3,
        lost_reply=0.2,
        too_many=0.2,
        unavailable=0.1,
        block_capacity=2,
    )
    congested(plan, seconds=8)

    drain()

    assert_minted_once(minting_chain, batch)
