"""Every way in which a node can fail has its name, and none of them shows the URL's key."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from minting.cluster.client import Node
from minting.cluster.transport import node_name
from minting.engine.errors import NodeUnreachable, RateLimited, RpcRefused, SolanaError
from tests.minting.cluster.fake_node import GENESIS, Drop, FakeNode, Http, Refusal, Stall


def ask_genesis(*answers, **options):
    """Asks once; gives the answer or the failure, the node that asked and the one that heard."""

    async def run():
        async with (
            FakeNode(getGenesisHash=list(answers)) as fake,
            Node(fake.url, **options) as node,
        ):
            try:
                return await node.genesis_hash(), node, fake
            except SolanaError as failure:
                return failure, node, fake

    return asyncio.run(run())


def test_an_answer_and_its_count():
    outcome, node, _ = ask_genesis(GENESIS)
    assert outcome == GENESIS
    assert node.calls == {"getGenesisHash": 1}
    assert not node.failures


def test_a_broken_connection_is_tried_once_more():
    outcome, node, fake = ask_genesis(Drop(), GENESIS)
    assert outcome == GENESIS
    assert node.calls["getGenesisHash"] == len(fake.heard) == 2


def test_a_connection_that_breaks_twice_is_unreachable():
    outcome, node, fake = ask_genesis(Drop())
    assert type(outcome) is NodeUnreachable
    assert len(fake.heard) == 2
    assert node.failures["getGenesisHash"] == 2


def test_silence_is_unreachable_and_not_repeated():
    outcome, _, fake = ask_genesis(Stall(), timeout=1)
    assert isinstance(outcome, NodeUnreachable)
    assert "1 s" in str(outcome)
    assert len(fake.heard) == 1


def test_nobody_there():
    async def run():
        async with FakeNode() as fake:
            url = fake.url
        async with Node(url, timeout=2) as node:
            await node.genesis_hash()

    with pytest.raises(NodeUnreachable, match="ConnectError"):
        asyncio.run(run())


def test_a_json_rpc_error_is_a_refusal():
    outcome, _, _ = ask_genesis(Refusal(-32602, "Invalid params"))
    assert isinstance(outcome, RpcRefused)
    assert outcome.rpc_code == -32602
    assert "Invalid params" in str(outcome)


def test_a_json_rpc_error_under_an_http_error_is_a_refusal_too():
    body = '{"jsonrpc":"2.0","id":"1","error":{"code":-32602,"message":"Invalid params"}}'
    outcome, _, _ = ask_genesis(Http(400, {}, body))
    assert isinstance(outcome, RpcRefused)


@pytest.mark.parametrize("status", [301, 401, 403, 404, 500, 502, 503])
def test_an_http_error_is_no_answer(status):
    outcome, _, _ = ask_genesis(Http(status, {"location": "/"}, "<html>"))
    assert isinstance(outcome, NodeUnreachable)
    assert str(status) in str(outcome)


@pytest.mark.parametrize(
    "body", ["", "<html>", "{}", '{"jsonrpc":"2.0","id":null,"result":1}', "[]"]
)
def test_what_is_not_json_rpc_is_no_answer(body):
    outcome, _, _ = ask_genesis(Http(200, {}, body))
    assert isinstance(outcome, NodeUnreachable)


@pytest.mark.parametrize("answer", [None, 7, {}, [], True])
def test_an_answer_of_another_kind_is_unusable(answer):
    outcome, _, _ = ask_genesis(answer)
    assert type(outcome) is SolanaError


@pytest.mark.parametrize(
    ("reply", "seconds"),
    [
        (Http(429, {"retry-after": "7"}), 7),
        (Http(429, {"retry-after": "0.5"}), 0.5),
        (Http(429), 1),
        (Http(429, {"retry-after": "soon"}), 1),
        (Http(429, {"retry-after": "inf"}), 1),
        (Http(429, {"retry-after": "-5"}), 1),
        (Http(429, {"retry-after": "0"}), 0.2),
        (Http(429, {"retry-after": "Thu, 01 Jan 1970 00:00:00 GMT"}), 0.2),
        (Http(503, {"retry-after": "3"}), 3),
        (Refusal(429, "slow down"), 1),
    ],
)
def test_a_rate_limit_says_for_how_long(reply, seconds):
    outcome, _, _ = ask_genesis(reply)
    assert isinstance(outcome, RateLimited)
    assert outcome.retry_after == seconds


def test_a_rate_limit_may_name_a_date():
    later = datetime.now(UTC) + timedelta(seconds=60)
    outcome, _, _ = ask_genesis(Http(429, {"retry-after": format_datetime(later, usegmt=True)}))
    assert isinstance(outcome, RateLimited)
    assert 50 < outcome.retry_after <= 60


def test_a_resting_node_is_not_asked():
    async def run():
        async with (
            FakeNode(getGenesisHash=[Http(429, {"retry-after": "1"}), GENESIS]) as fake,
            Node(fake.url) as node,
        ):
            with pytest.raises(RateLimited):
                await node.genesis_hash()
            with pytest.raises(RateLimited) as again:
                await node.genesis_hash()
            assert 0 < again.value.retry_after <= 1
            assert len(fake.heard) == 1
            await asyncio.sleep(1.05)
            assert await node.genesis_hash() == GENESIS

    asyncio.run(run())


def test_connections_are_kept_and_their_number_is_bounded():
    async def run():
        async with FakeNode() as fake, Node(fake.url, concurrency=3) as node:
            for _ in range(4):
                await asyncio.gather(*(node.genesis_hash() for _ in range(8)))
            assert len(fake.heard) == 32
            assert fake.most_at_once <= 3
            assert len({request.connection for request in fake.heard}) <= 3

    asyncio.run(run())


def test_no_failure_shows_the_key_in_the_url(capsys, caplog):
    for answer in (Http(403), Http(200, {}, "<html>"), Drop(), Refusal(-32602), Http(500)):
        outcome, _, fake = ask_genesis(answer)
        assert "SECRET" not in repr(outcome)
        assert "SECRET" in fake.url
        assert outcome.__cause__ is None
    assert "SECRET" not in caplog.text
    assert "SECRET" not in "".join(capsys.readouterr())


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://user:SECRET@node.example/SECRET?k=SECRET", "node.example"),
        ("http://127.0.0.1:8899", "127.0.0.1:8899"),
    ],
)
def test_a_node_is_named_by_its_host(url, name):
    assert node_name(url) == name


@pytest.mark.parametrize(
    "url",
    [
        "",
        "node.example/SECRET",
        "ws://node.example/SECRET",
        "http://",
        "http://a:SECRET",
        "http://[SECRET",
    ],
)
def test_what_is_not_a_url_is_refused_without_being_quoted(url):
    with pytest.raises(ValueError, match="looks like") as refusal:
        node_name(url)
    assert "SECRET" not in str(refusal.value)
    assert refusal.value.__context__ is None
