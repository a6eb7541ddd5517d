"""Several nodes: who is asked, who is passed over, who is never used."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack

import pytest
from solders.pubkey import Pubkey

from minting.cluster.client import Node
from minting.cluster.nodes import Cluster
from minting.engine.errors import (
    MintingRefused,
    NodeUnreachable,
    RateLimited,
    RpcRefused,
    SolanaError,
)
from tests.minting.cluster.fake_node import (
    GENESIS,
    Drop,
    FakeNode,
    Http,
    Refusal,
    Stall,
    status,
    value,
)

WALLETS = [Pubkey(number.to_bytes(32, "big")) for number in range(1, 301)]


def with_cluster(story, *fakes, **options):
    """Runs ``story(cluster, *fakes)``; gives what it returns, or its failure."""

    async def run():
        async with AsyncExitStack() as stack:
            for fake in fakes:
                await stack.enter_async_context(fake)
            options.setdefault("genesis_hash", GENESIS)
            cluster = Cluster([fake.url for fake in fakes], **options)
            await stack.enter_async_context(cluster)
            return await story(cluster, *fakes)

    return asyncio.run(run())


def test_the_first_node_answers_and_the_second_is_left_alone():
    async def story(cluster, first, second):
        assert [await cluster.slot() for _ in range(3)] == [1, 1, 1]
        assert first.methods == ["getGenesisHash", "getSlot", "getSlot", "getSlot"]
        assert second.heard == []
        assert cluster.calls == {"getGenesisHash": 1, "getSlot": 3}

    with_cluster(story, FakeNode(getSlot=1), FakeNode(getSlot=2))


@pytest.mark.parametrize(
    "trouble",
    [Drop(), Stall(), Http(500), Http(429, {"retry-after": "60"}), Refusal(-32005), "nonsense"],
    ids=["drop", "stall", "500", "429", "unhealthy", "nonsense"],
)
def test_the_next_node_answers_for_one_in_trouble(trouble):
    async def story(cluster, first, second):
        assert await cluster.slot() == 2
        assert "getSlot" in first.methods
        assert second.methods == ["getGenesisHash", "getSlot"]

    with_cluster(story, FakeNode(getSlot=trouble), FakeNode(getSlot=2), timeout=1)


def test_who_did_not_answer_is_asked_last_for_a_while():
    async def story(cluster, first, second):
        for _ in range(5):
            assert await cluster.slot() == 2
        assert first.methods.count("getSlot") == 1

    with_cluster(story, FakeNode(getSlot=Stall()), FakeNode(getSlot=2), timeout=1)


def test_a_question_that_is_wrong_everywhere_is_asked_once():
    async def story(cluster, first, second):
        with pytest.raises(RpcRefused):
            await cluster.rent(165)
        assert second.heard == []

    refusal = Refusal(-32602, "Invalid params")
    with_cluster(story, FakeNode(getMinimumBalanceForRentExemption=refusal), FakeNode())


def test_when_nobody_answers_everyone_is_named():
    async def story(cluster, first, second):
        with pytest.raises(NodeUnreachable) as failure:
            await cluster.slot()
        assert first.name in str(failure.value)
        assert second.name in str(failure.value)
        assert "SECRET" not in str(failure.value)

    with_cluster(story, FakeNode(getSlot=Drop()), FakeNode(getSlot=Http(502)))


def test_when_all_rest_the_question_waits():
    async def story(cluster, *_):
        started = time.monotonic()
        assert await cluster.slot() == 1
        assert time.monotonic() - started >= 0.3

    limited = [Http(429, {"retry-after": "0.3"}), 1]
    with_cluster(
        story, FakeNode(getSlot=limited), FakeNode(getSlot=Http(429, {"retry-after": "9"}))
    )


def test_but_not_longer_than_its_patience():
    async def story(cluster, only):
        started = time.monotonic()
        with pytest.raises(RateLimited) as failure:
            await cluster.slot()
        assert failure.value.retry_after > 100
        assert time.monotonic() - started < 60

    with_cluster(story, FakeNode(getSlot=Http(429, {"retry-after": "120"})), patience=0.5)


def test_one_rate_limited_page_does_not_repeat_the_others():
    async def story(cluster, only):
        accounts, _ = await cluster.accounts(WALLETS)
        assert accounts == (None,) * 300
        assert only.methods.count("getMultipleAccounts") == 4

    def answer(addresses, config):
        if str(WALLETS[0]) in addresses and not told:
            told.append(True)
            return Http(429, {"retry-after": "0.1"})
        return value([None] * len(addresses))

    told: list[bool] = []
    with_cluster(story, FakeNode(getMultipleAccounts=answer), concurrency=3)


def test_a_node_of_another_cluster_is_never_used():
    async def story(cluster, stranger, ours):
        assert await cluster.slot() == 2
        assert await cluster.send(b"raw") is None
        async with cluster.one_node() as node:
            assert node.name == ours.name
        assert set(stranger.methods) == {"getGenesisHash"}
        health = await cluster.health()
        assert health == {stranger.name: "is on another cluster", ours.name: None}

    with_cluster(
        story,
        FakeNode(getGenesisHash="Elsewhere", getSlot=1, sendTransaction="s"),
        FakeNode(getSlot=2, sendTransaction="s", getHealth="ok"),
    )


def test_if_all_are_of_another_cluster_minting_is_refused():
    async def story(cluster, only):
        with pytest.raises(MintingRefused, match=GENESIS):
            await cluster.slot()
        assert "another cluster" in await cluster.send(b"raw")
        assert only.methods == ["getGenesisHash"]

    with_cluster(story, FakeNode(getGenesisHash="Elsewhere", getSlot=1, sendTransaction="s"))


def test_without_an_expectation_the_first_answer_is_the_expectation():
    async def story(cluster, first, second):
        assert await cluster.genesis_hash() == GENESIS
        assert (await cluster.health())[second.name] == "is on another cluster"

    with_cluster(
        story,
        FakeNode(getHealth="ok"),
        FakeNode(getGenesisHash="Elsewhere", getHealth="ok"),
        genesis_hash=None,
    )


def test_a_send_goes_to_every_node_and_one_taker_is_enough():
    async def story(cluster, *fakes):
        assert await cluster.send(b"raw") is None
        assert all("sendTransaction" in fake.methods for fake in fakes)

    with_cluster(
        story,
        FakeNode(sendTransaction=Http(500)),
        FakeNode(sendTransaction="signature"),
        FakeNode(sendTransaction=Refusal(-32002)),
    )


def test_a_send_that_nobody_took_is_a_note():
    async def story(cluster, first, second):
        note = await cluster.send(b"raw")
        assert "500" in note
        assert "-32002" in note

    with_cluster(
        story, FakeNode(sendTransaction=Http(500)), FakeNode(sendTransaction=Refusal(-32002))
    )


def test_a_silent_node_does_not_hold_up_the_sends():
    async def story(cluster, silent, ours):
        for _ in range(3):
            notes = await asyncio.gather(*(cluster.send(b"raw") for _ in range(100)))
            assert notes == [None] * 100
        # What was on the wire when it fell silent; none of those queued, no later wave.
        assert silent.methods.count("sendTransaction") == 16
        assert ours.methods.count("sendTransaction") == 300

    with_cluster(story, FakeNode(sendTransaction=Stall()), FakeNode(sendTransaction="s"), timeout=2)


def test_those_who_wait_for_a_silent_node_wait_together():
    async def story(cluster, silent, ours):
        assert await asyncio.gather(*(cluster.slot() for _ in range(20))) == [2] * 20
        assert silent.methods == ["getGenesisHash"]

    with_cluster(story, FakeNode(getGenesisHash=Stall()), FakeNode(getSlot=2), timeout=1)


def test_two_keys_at_one_host_are_told_apart():
    cluster = Cluster(["https://node.example/KEY1", "https://node.example/KEY2"])
    names = [member.node.name for member in cluster._roster.members]
    assert names == ["node.example", "node.example#2"]


def test_a_short_answer_is_another_nodes_turn():
    async def story(cluster, *_):
        report = await cluster.statuses(["a", "b"])
        assert [row and row.slot for row in report.statuses] == [7, None]

    with_cluster(
        story,
        FakeNode(getSignatureStatuses=value([None])),
        FakeNode(getSignatureStatuses=value([status(slot=7), None])),
    )


def test_what_belongs_together_stays_on_one_node():
    async def story(cluster, first, second):
        async with cluster.one_node() as node:
            assert await node.slot() == 1
            with pytest.raises(SolanaError):
                await node.statuses(["a"])
        assert second.heard == []
        with pytest.raises(NodeUnreachable):
            async with cluster.one_node() as node:
                await node.statuses(["a"])
        async with cluster.one_node() as node:
            assert node.name == second.name

    with_cluster(story, FakeNode(getSlot=1, getSignatureStatuses=Drop()), FakeNode(getSlot=2))


def test_a_cluster_has_at_least_one_node():
    with pytest.raises(ValueError, match="at least one"):
        Cluster([])


def test_every_question_of_a_node_can_be_asked_of_the_cluster():
    own = {name for name in vars(Node) if not name.startswith("_")} - {"version", "submit"}
    assert own <= set(vars(Cluster))
