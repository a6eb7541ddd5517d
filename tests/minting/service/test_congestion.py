"""Full blocks, rising fees, refusals for asking too often: slower, never lost, never doubled."""

from __future__ import annotations

from threading import Timer

import pytest

from gridtoken.embedded.chain.budget import Budget, budget_of
from gridtoken.embedded.chain.transaction import decode
from gridtoken.embedded.faults import FaultPlan
from minting.models import BatchSource, MintBatch, MintResult, MintTransaction
from minting.service.chain.session import open_session
from minting.service.chain.terms import forget_terms
from minting.service.drive import recover as recovery
from minting.service.drive import submit
from minting.service.requests.prepare import request_batch
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
    chain.net.faults = FaultPlan()  # the batch may have been done before the storm was over
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


CAP = 150_000
"""Lamports a transaction that we bid at most."""

BUSY = 500_000
"""What others bid in a busy hour, in micro-lamports per compute unit."""

WINDOW = 160
"""Slots; getRecentPrioritizationFees tells of 150 blocks."""


@pytest.fixture
def bidding(minting_chain):
    """``BLOCKCHAIN_PRIORITY_FEE=auto`` after a quiet time."""
    minting_chain.settings.BLOCKCHAIN_PRIORITY_FEE = "auto"
    minting_chain.settings.BLOCKCHAIN_MAX_PRIORITY_FEE = CAP
    minting_chain.net.advance(WINDOW)
    return minting_chain


def bid_of(row: MintTransaction) -> Budget:
    """As the chain reads it out of the bytes that were signed."""
    budget = budget_of(decode(bytes(row.raw)))
    assert budget.priority_fee == row.priority_fee_lamports <= CAP
    return budget


def test_bids_follow_what_recent_blocks_asked_up_to_the_cap(bidding, drain, congested):
    """Priority fees rise, and fall again: each batch bids what the chain asks then."""
    bids = []
    rise = (0, BUSY, 2 * BUSY, 100 * BUSY, 0)
    for asked in rise:
        congested(FaultPlan(others_bid=asked))
        bidding.net.advance(WINDOW)
        with open_session() as session:
            forget_terms(session)  # half a minute later
        if asked > 2 * BUSY:
            # Nobody outbids that: the cap's bid waits until the others are gone.
            congested(FaultPlan(others_bid=asked), seconds=1.5)
        batch = request_batch([MeterReadingFactory().id], source=BatchSource.CLI, strict=True)
        drain()
        row = MintTransaction.objects.get(batch=batch)
        bids.append(bid_of(row))
        batch.refresh_from_db()
        assert batch.status == "succeeded"
        assert batch.fee_paid_lamports == 5_000 + row.priority_fee_lamports

    wanted = [asked * bid.compute_units for asked, bid in zip(rise, bids, strict=True)]
    assert [bid.priority_fee for bid in bids] == [min(CAP, -(-each // 10**6)) for each in wanted]
    assert CAP in {bid.priority_fee for bid in bids}
    assert bidding.supply() == 5 * BASE_UNITS
    assert not MintResult.objects.exclude(attempts=1).exists()


def test_what_is_outbid_for_longer_than_it_lives_is_signed_anew_with_the_new_bid(
    bidding, batch, drain, congested
):
    """The first bid is of the quiet time, then others fill the blocks: dead first, then more."""
    congested(FaultPlan(others_bid=BUSY))

    drain()

    assert_minted_once(bidding, batch)
    outbid, landed = MintTransaction.objects.order_by("id")
    assert (outbid.status, bid_of(outbid).price) == ("expired", 0)
    assert outbid.evidence["verdict"] == "dead"
    assert landed.status == "confirmed"
    assert bid_of(landed).price >= BUSY
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
