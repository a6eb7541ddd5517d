"""Proof of death on a chain that ages: what the evidence on the living and the lost looks like."""

from __future__ import annotations

import asyncio

from gridtoken.embedded.faults import FaultPlan
from minting.cluster import collect_death_evidence
from minting.engine.types import Commitment, Verdict, Watched
from minting.engine.verdicts import judge
from tests.minting.cluster.transactions import AUTHORITY, on_node, pay, settled, v0


def watched(net, transaction, date) -> Watched:
    return Watched(
        signature=str(transaction.signatures[0]),
        genesis_hash=str(net.ledger.genesis_hash),
        blockhash_slot=date.slot,
        last_valid_block_height=date.last_valid_block_height,
    )


async def evidence_on(net, *items, known=()):
    async def moved(seconds):
        """A pause in which the chain goes on."""
        await asyncio.to_thread(net.advance, max(round(seconds * 10), 1))

    return await collect_death_evidence(
        net.url, items, AUTHORITY.pubkey(), is_known=set(known).__contains__, sleep=moved
    )


async def old_and_new(net, node):
    """One that landed and one that nobody got, of the same blockhash; and one from before."""
    before = v0(pay(), date=await node.latest_blockhash())
    status = await settled(node, before, Commitment.FINALIZED)
    date = await node.latest_blockhash()
    assert date.slot > status.slot
    landed, lost = v0(pay(), date=date), v0(pay(), date=date)
    await settled(node, landed)
    net.faults = FaultPlan(drop=1.0)
    assert await node.send(bytes(lost)) is None
    net.faults = FaultPlan()
    return str(before.signatures[0]), watched(net, landed, date), watched(net, lost, date)


def test_a_live_transaction_gets_no_further_than_the_height(net):
    async def story(node):
        date = await node.latest_blockhash()
        young = watched(net, v0(pay(), date=date), date)
        return (await evidence_on(net, young))[young.signature], young

    evidence, young = on_node(net, story)
    assert judge(young, evidence).verdict is Verdict.LIVE
    assert evidence.finalized.block_height <= young.last_valid_block_height
    assert evidence.reports == ()


def test_the_evidence_on_one_that_just_expired(net):
    async def story(node):
        _, landed, lost = await old_and_new(net, node)
        net.pause()
        while (await node.epoch_info(Commitment.FINALIZED)).block_height <= (
            lost.last_valid_block_height
        ):
            await asyncio.to_thread(net.advance, 5)
        return landed, lost, await evidence_on(net, landed, lost)

    landed, lost, found = on_node(net, story)
    evidence = found[lost.signature]
    assert judge(lost, evidence).verdict is Verdict.DEAD
    assert judge(landed, found[landed.signature]).verdict is Verdict.LANDED
    assert evidence.genesis_hash == lost.genesis_hash
    over = evidence.finalized.block_height - lost.last_valid_block_height
    assert 0 < over <= 100
    assert len(evidence.reports) == 3
    for report in evidence.reports:
        assert report.statuses == (None,)
        assert report.context_slot >= evidence.finalized.slot + 64
    assert evidence.second_witness is None
    for report in found[landed.signature].reports:
        assert report.statuses[0].err is None


def test_the_evidence_on_one_that_expired_long_ago(net):
    async def story(node):
        before, landed, lost = await old_and_new(net, node)
        await asyncio.to_thread(net.advance, 450)
        known = await evidence_on(net, landed, lost, known=[before])
        return landed, lost, known, await evidence_on(net, lost, known=[landed.signature])

    landed, lost, found, blind = on_node(net, story)
    evidence = found[lost.signature]
    assert judge(lost, evidence).verdict is Verdict.DEAD
    assert judge(landed, found[landed.signature]).verdict is Verdict.LANDED
    assert evidence.finalized.block_height > lost.last_valid_block_height + 100
    assert [report.statuses for report in evidence.reports] == [(None,)] * 3
    assert evidence.first_available_block <= lost.blockhash_slot
    assert evidence.second_witness is True
    # The one that landed long ago is found in the history only, twice.
    assert found[landed.signature].reports[0].statuses[0].commitment is Commitment.FINALIZED
    assert found[landed.signature].second_witness is False
    # Knowing only what came after the blockhash is not knowing how far the history reaches.
    assert blind[lost.signature].second_witness is None
    assert judge(lost, blind[lost.signature]).verdict is Verdict.UNCERTAIN


def test_errors_testify_nothing(net):
    async def story(node):
        before, _, lost = await old_and_new(net, node)
        await asyncio.to_thread(net.advance, 450)
        net.faults = FaultPlan(
            error=1.0, methods=("getSignatureStatuses", "getSignaturesForAddress")
        )
        return lost, await evidence_on(net, lost, known=[before])

    lost, found = on_node(net, story)
    assert judge(lost, found[lost.signature]).verdict is Verdict.UNCERTAIN
    assert found[lost.signature].finalized is not None
    assert found[lost.signature].reports == ()
    assert found[lost.signature].second_witness is None
