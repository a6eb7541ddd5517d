"""Polls that come to nothing: how long the poller rests, and what it asks of whom meanwhile."""

from __future__ import annotations

import pytest

from minting import conf
from minting.engine.errors import NodeUnreachable
from minting.models import MintBatch, Polling
from minting.service.polling import book
from minting.tasks import poll
from readings.models import MeterReading
from tests.factories.village import harvest, village
from tests.minting.conftest import drain, minting_chain
from tests.minting.polling.polls import batches, lamports

__all__ = ["drain", "minting_chain"]

pytestmark = pytest.mark.django_db(transaction=True)


def rest_of(row: Polling) -> int:
    """Seconds from the end of a poll that gave up."""
    assert row.not_before is not None
    assert row.ended_at is not None
    return round((row.not_before - row.ended_at).total_seconds())


def rest_is_over() -> None:
    Polling.objects.update(not_before=None)


def test_without_sol_nothing_is_queued_and_it_rests_longer_each_time(minting_chain):
    harvest(village(2))
    payer = minting_chain.authority.pubkey()
    minting_chain.net.set_account(payer, lamports(1_000_000))

    rests = []
    for failures in (1, 2, 3):
        assert poll()["halted"] == "insufficient_funds"
        row = Polling.objects.get()
        assert (row.failures, row.trouble_code) == (failures, "insufficient_funds")
        assert "short of" in row.trouble
        rests.append(rest_of(row))
        assert not book.call_if_due(conf.polling_policy()), "it rests"
        rest_is_over()
    assert rests == [120, 240, 480]
    assert not MintBatch.objects.exists()

    minting_chain.net.set_account(payer, lamports(10**10))
    assert poll() == {"batches": 1, "readings": 2, "halted": ""}
    assert Polling.objects.get().trouble == ""


def test_where_no_estimate_warns_a_batch_that_came_to_nothing_does(minting_chain, drain, settings):
    settings.BLOCKCHAIN_FEE_ESTIMATION_ENABLED = False
    settings.BLOCKCHAIN_BATCH_RETRY_ENABLED = False
    payer = minting_chain.authority.pubkey()
    minting_chain.net.set_account(payer, lamports(1_000_000))
    harvest(village(2))
    poll()
    drain()
    assert batches().get().status == "failed"

    first = harvest(village(2))
    assert poll()["halted"] == "insufficient_funds"
    assert (Polling.objects.get().failures, batches().count()) == (1, 1)

    rest_is_over()
    assert poll()["batches"] == 1, "one more, to see"
    harvest(village(1))
    assert poll()["halted"] == "on_trial"
    minting_chain.net.set_account(payer, lamports(10**10))
    drain()
    assert poll()["batches"] == 1
    assert Polling.objects.get().failures == 0
    assert MeterReading.objects.filter(id__in=[each.id for each in first], status="minted").count()


def test_a_dead_node_leaves_readings_pending_and_is_asked_again_at_the_next_interval(
    minting_chain, settings
):
    harvest(village(1))
    urls = settings.SOLANA_RPC_URLS
    settings.SOLANA_RPC_URLS = ["http://127.0.0.1:9"]

    for failures in (1, 2):
        assert poll()["halted"] == NodeUnreachable.code
        row = Polling.objects.get()
        assert row.failures == failures
        assert rest_of(row) == 60
        rest_is_over()
    assert not MintBatch.objects.exists()

    settings.SOLANA_RPC_URLS = urls
    assert poll()["batches"] == 1


def test_a_wallet_that_cannot_be_paid_is_its_owner_s_trouble_alone(minting_chain, drain):
    """Its batch comes to nothing, and the poller goes on: permanent is not the poller's fault."""
    (owner,) = village(1)
    minting_chain.freeze(owner.wallet.address)
    harvest([owner])
    poll()
    drain()
    assert batches().get().status == "failed"

    harvest(village(1))
    assert poll()["batches"] == 1
    assert Polling.objects.get().failures == 0
