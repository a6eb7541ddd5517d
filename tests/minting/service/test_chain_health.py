"""Nodes as the dashboard shows them: well, behind, silent since when, on another cluster."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest
from django.utils import timezone
from pytest_django import Settings

from minting import conf
from minting.cluster.nodes import Cluster
from minting.models import Pulse, PulseKind
from minting.service.watch import chain_health
from tests.minting.cluster.fake_node import GENESIS, Drop, FakeNode, Refusal, Stall
from tests.minting.cluster.test_nodes import with_cluster
from tests.minting.conftest import MintingChain

NOBODY = "http://127.0.0.1:9"
"""The port of "discard": nobody listens."""


def epoch(slot: int) -> dict:
    return {
        "absoluteSlot": slot,
        "blockHeight": slot - 3,
        "epoch": 0,
        "slotIndex": 0,
        "slotsInEpoch": 432_000,
        "transactionCount": 0,
    }


def test_each_node_says_for_itself_within_the_time():
    async def story(cluster: Cluster, *_: FakeNode):
        began = time.monotonic()
        seen = await cluster.sightings(0.5)
        assert time.monotonic() - began < 5
        return seen

    well, behind, dead, slow = with_cluster(
        story,
        FakeNode(getEpochInfo=epoch(100), getHealth="ok"),
        FakeNode(getEpochInfo=epoch(60), getHealth=Refusal(-32005, "behind by 40 slots")),
        FakeNode(getEpochInfo=Drop()),
        FakeNode(getEpochInfo=Stall()),
    )
    assert (well.slot, well.block_height, well.genesis_hash) == (100, 97, GENESIS)
    assert (well.trouble, well.ailment) == ("", "")
    assert (behind.slot, behind.trouble) == (60, "")
    assert "behind by 40 slots" in behind.ailment
    assert dead.trouble
    assert slow.trouble == "no answer within 0.5 s"


@pytest.fixture
def stale(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every look asks."""
    monkeypatch.setattr(chain_health, "KEPT", timedelta(0))


def test_a_chain_is_well_and_its_payer_known(minting_chain: MintingChain):
    seen = chain_health.look()
    (node,) = seen.nodes
    assert seen.answers
    assert (node.answers, node.trouble, node.lag) == (True, "", 0)
    assert node.right_cluster is True
    assert node.slot is not None
    assert node.block_height is not None
    assert seen.payer is not None
    assert seen.payer.lamports == minting_chain.lamports()
    assert 0 < seen.payer.floor < 10**6


def test_an_answer_is_shown_again_for_a_moment(minting_chain: MintingChain):
    chain_health.look()
    asked = Pulse.objects.get(kind=PulseKind.NODE).checked_at
    chain_health.look()
    assert Pulse.objects.get(kind=PulseKind.NODE).checked_at == asked
    Pulse.objects.update(checked_at=asked - 2 * chain_health.KEPT)
    chain_health.look()
    assert Pulse.objects.get(kind=PulseKind.NODE).checked_at > asked


def test_a_node_is_silent_since_its_first_silence(
    minting_chain: MintingChain, settings: Settings, stale: None
):
    chain_health.look()
    known = Pulse.objects.get(kind=PulseKind.NODE)
    settings.SOLANA_RPC_URLS = [NOBODY, *settings.SOLANA_RPC_URLS]

    first, again = chain_health.look(), chain_health.look()

    silent, well = again.nodes
    assert (silent.answers, silent.slot, silent.lag) == (False, None, None)
    assert silent.silent_since == first.nodes[0].silent_since
    assert silent.trouble
    assert well.answers
    assert again.answers, "one is enough"

    # All of them: what was known of one that once answered is still told.
    lamports = minting_chain.lamports()
    settings.SOLANA_RPC_URLS = [NOBODY]
    Pulse.objects.filter(name=silent.name).update(facts=known.facts, alive_at=known.alive_at)
    gone = chain_health.look()
    assert not gone.answers
    assert gone.nodes[0].slot == known.facts["slot"]
    assert gone.nodes[0].answered_at == known.alive_at
    assert gone.payer is not None
    assert gone.payer.lamports == lamports, "as it was when a node last answered"
    assert gone.payer.trouble

    settings.SOLANA_RPC_URLS = [minting_chain.net.url]
    assert chain_health.look().nodes[0].silent_since is None


def test_another_cluster_and_a_slot_that_stands_still_are_seen(
    minting_chain: MintingChain, settings: Settings, stale: None
):
    chain_health.look()
    node = Pulse.objects.get(kind=PulseKind.NODE)
    long_ago = timezone.now() - timedelta(minutes=5)
    stuck = {**node.facts, "moved_at": long_ago.isoformat()}
    Pulse.objects.filter(pk=node.pk).update(facts=stuck)
    assert "stands still since" in chain_health._told(conf.current(), [node.name]).nodes[0].trouble
    assert chain_health.look().nodes[0].trouble == "", "it moved meanwhile"

    settings.SOLANA_GENESIS_HASH = GENESIS
    other = chain_health.look()
    assert other.nodes[0].right_cluster is False
    assert "another cluster" in other.nodes[0].trouble
    assert not other.answers


def test_without_an_authority_nobody_pays(
    minting_chain: MintingChain, settings: Settings, stale: None
):
    settings.MINT_AUTHORITY_ADDRESS = settings.MINT_AUTHORITY_KEYPAIR = None
    assert chain_health.look().payer is None
