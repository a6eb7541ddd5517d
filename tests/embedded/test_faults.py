"""Each fault on its own, over real HTTP, and that they can be repeated."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import httpx2
import pytest
from solders.hash import Hash
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from gridtoken.embedded.faults import Fate, FaultPlan, Faults, Reply
from gridtoken.embedded.localnet import Localnet

from .chain import HOUSEHOLD, SOL, memo, pay, text, v0, v1


@pytest.fixture
def healthy(net: Localnet) -> Iterator[Localnet]:
    """The module's chain, healed afterwards."""
    yield net
    net.faults = FaultPlan()
    net.resume()


@pytest.fixture
def http() -> Iterator[httpx2.Client]:
    with httpx2.Client(timeout=10) as client:
        yield client


def post(http: httpx2.Client, net: Localnet, method: str, *params: object) -> httpx2.Response:
    body = {"jsonrpc": "2.0", "id": 5, "method": method, "params": params}
    return http.post(net.url, json=body)


def ask(http: httpx2.Client, net: Localnet, method: str, *params: object) -> Any:
    answer = post(http, net, method, *params).json()
    assert "error" not in answer, answer
    return answer["result"]


def send(http: httpx2.Client, net: Localnet, note: str) -> str:
    value = ask(http, net, "getLatestBlockhash", {"commitment": "confirmed"})["value"]
    tx = v1([memo(note)], Hash.from_string(value["blockhash"]))
    options = {"encoding": "base64", "skipPreflight": True}
    return str(ask(http, net, "sendTransaction", text(tx), options))


def is_there(net: Localnet, key: Pubkey) -> bool:
    return net.ledger.bank().account(key) is not None


def landed(http: httpx2.Client, net: Localnet, signature: str) -> bool:
    return bool(ask(http, net, "getSignatureStatuses", [signature])["value"][0])


def test_a_dropped_transaction_is_answered_and_never_lands(
    healthy: Localnet, http: httpx2.Client
) -> None:
    healthy.faults = FaultPlan(drop=1.0)
    signature = send(http, healthy, "dropped")
    healthy.wait_slots(6)
    assert not landed(http, healthy, signature)


def test_a_delayed_transaction_lands_late(healthy: Localnet, http: httpx2.Client) -> None:
    healthy.faults = FaultPlan(delay=1.0, delay_slots=8)
    healthy.pause()
    signature = send(http, healthy, "delayed")
    healthy.advance(7)
    assert not landed(http, healthy, signature)
    healthy.advance(4)
    assert landed(http, healthy, signature)


def test_a_lost_reply_was_executed(healthy: Localnet, http: httpx2.Client) -> None:
    outcomes = set()
    for number in range(12):
        someone = Keypair().pubkey()
        healthy.faults = FaultPlan(seed=number, lost_reply=1.0, methods=("requestAirdrop",))
        try:
            outcomes.add(post(http, healthy, "requestAirdrop", str(someone), SOL).status_code)
        except httpx2.TransportError:
            outcomes.add(0)
        healthy.wait_until(partial(is_there, healthy, someone))
    assert outcomes == {0, 503}


def test_an_unavailable_node_executes_nothing(healthy: Localnet, http: httpx2.Client) -> None:
    healthy.faults = FaultPlan(unavailable=1.0)
    someone = Keypair().pubkey()
    assert post(http, healthy, "requestAirdrop", str(someone), SOL).status_code == 503
    healthy.wait_slots(3)
    assert healthy.ledger.bank().account(someone) is None


def test_too_many_requests_are_told_to_wait(healthy: Localnet, http: httpx2.Client) -> None:
    healthy.faults = FaultPlan(requests_per_second=3, retry_after=7)
    answers = [post(http, healthy, "getSlot") for _ in range(5)]
    assert [answer.status_code for answer in answers] == [200] * 3 + [429] * 2
    assert answers[-1].headers["retry-after"] == "7"
    assert answers[-1].json()["error"]["code"] == 429
    healthy.faults = FaultPlan(too_many=1.0)
    assert post(http, healthy, "getSlot").status_code == 429


def test_requests_are_counted_by_method_and_what_was_refused_apart(
    healthy: Localnet, http: httpx2.Client
) -> None:
    before = healthy.control({"requests": True})
    post(http, healthy, "getSlot")
    healthy.faults = FaultPlan(too_many=1.0)
    post(http, healthy, "getSlot")
    after = healthy.control({"requests": True})
    assert after["requests"]["getSlot"] - before["requests"].get("getSlot", 0) == 1
    assert after["refused"] - before["refused"] == 1


def test_an_error_is_an_answer_with_the_request_s_id(
    healthy: Localnet, http: httpx2.Client
) -> None:
    healthy.faults = FaultPlan(error=1.0, error_code=-32005, error_message="Node is behind")
    answer = post(http, healthy, "getSlot").json()
    assert answer == {
        "jsonrpc": "2.0",
        "error": {"code": -32005, "message": "Node is behind"},
        "id": 5,
    }
    batch = [{"jsonrpc": "2.0", "id": number, "method": "getSlot"} for number in (1, 2)]
    answers = http.post(healthy.url, json=batch).json()
    assert [one["id"] for one in answers] == [1, 2]


def test_a_stale_blockhash_comes_with_its_own_last_valid_height(
    healthy: Localnet, http: httpx2.Client
) -> None:
    level = {"commitment": "processed"}
    healthy.pause()
    healthy.advance(150)
    healthy.faults = FaultPlan(stale_blockhash=1.0, stale_blocks=140)
    value = ask(http, healthy, "getLatestBlockhash", level)["value"]
    tip = healthy.ledger.tip.height
    assert value["lastValidBlockHeight"] == tip + 10
    block = healthy.ledger.block(tip - 140)
    assert block is not None
    assert value["blockhash"] == str(block.blockhash)


def test_a_lagging_node_lives_in_the_past(healthy: Localnet, http: httpx2.Client) -> None:
    healthy.pause()
    healthy.advance(50)
    someone = Keypair().pubkey()
    signature = healthy.airdrop(someone, SOL, "processed")
    tip = healthy.ledger.tip
    healthy.faults = FaultPlan(lag_slots=40)
    level = {"commitment": "processed"}
    info = ask(http, healthy, "getEpochInfo", level)
    assert info["blockHeight"] == tip.height - 40
    assert ask(http, healthy, "getBalance", str(someone), level)["value"] == 0
    statuses = ask(http, healthy, "getSignatureStatuses", [str(signature)])
    assert statuses["context"]["slot"] == info["absoluteSlot"]
    assert statuses["value"] == [None]
    wanted = level | {"minContextSlot": tip.slot}
    answer = post(http, healthy, "getBalance", str(someone), wanted).json()
    assert answer["error"]["code"] == -32016
    healthy.faults = FaultPlan()
    assert ask(http, healthy, "getBalance", str(someone), level)["value"] == SOL


def test_an_older_node_cannot_read_v1(healthy: Localnet, http: httpx2.Client) -> None:
    healthy.faults = FaultPlan(no_v1=True)
    for tx, code in (
        (v1([memo("new")], healthy.ledger.tip.blockhash), -32602),
        (v0([memo("old")], healthy.ledger.tip.blockhash), None),
    ):
        for method in ("simulateTransaction", "sendTransaction"):
            options = {"encoding": "base64", "skipPreflight": True}
            answer = post(http, healthy, method, text(tx), options).json()
            assert answer.get("error", {}).get("code") == code


def test_a_pruned_node_has_forgotten_and_says_from_when_on(
    healthy: Localnet, http: httpx2.Client
) -> None:
    someone = Keypair().pubkey()
    signature = str(healthy.airdrop(someone, SOL))
    healthy.pause()
    healthy.advance(340)
    search = {"searchTransactionHistory": True}
    slot = ask(http, healthy, "getSignatureStatuses", [signature], search)["value"][0]["slot"]
    healthy.faults = FaultPlan(pruned_below=slot + 1)
    assert ask(http, healthy, "getFirstAvailableBlock") == slot + 1
    assert ask(http, healthy, "getSignatureStatuses", [signature], search)["value"] == [None]
    assert ask(http, healthy, "getTransaction", signature) is None
    assert ask(http, healthy, "getSignaturesForAddress", str(someone)) == []
    assert ask(http, healthy, "getBlocks", 0)[0] > slot
    answer = post(http, healthy, "getBlock", slot).json()
    assert answer["error"]["code"] == -32001


def test_full_blocks_let_so_many_land(healthy: Localnet, http: httpx2.Client) -> None:
    healthy.pause()
    sent = [send(http, healthy, f"full {number}") for number in range(5)]
    healthy.faults = FaultPlan(block_capacity=0)
    healthy.advance(3)
    assert not any(landed(http, healthy, signature) for signature in sent)
    healthy.faults = FaultPlan(block_capacity=2)
    height = healthy.ledger.tip.height
    healthy.wait_until(lambda: healthy.ledger.tip.height == height + 2)
    assert [landed(http, healthy, signature) for signature in sent] == [True] * 4 + [False]


def test_a_fork_loses_what_was_confirmed(healthy: Localnet, http: httpx2.Client) -> None:
    healthy.pause()
    signature = send(http, healthy, "forked")
    healthy.wait_slots(4)
    status = ask(http, healthy, "getSignatureStatuses", [signature])["value"][0]
    assert status["confirmationStatus"] == "confirmed"
    assert signature in healthy.fork(8)
    assert not landed(http, healthy, signature)


def test_faults_strike_only_the_methods_named(healthy: Localnet, http: httpx2.Client) -> None:
    healthy.faults = FaultPlan(unavailable=1.0, methods=("getBalance",))
    assert post(http, healthy, "getSlot").status_code == 200
    assert post(http, healthy, "getBalance", str(HOUSEHOLD.pubkey())).status_code == 503


def test_the_same_seed_gives_the_same_faults() -> None:
    plan = FaultPlan(seed=7, drop=0.3, lost_reply=0.2, error=0.1, delay=0.2, stale_blockhash=0.1)
    body = json.dumps({"method": "sendTransaction"}).encode()
    first, second = Faults(plan), Faults(plan)
    fates = [first.draw(body) for _ in range(200)]
    assert fates == [second.draw(body) for _ in range(200)]
    assert {fate.reply for fate in fates} >= {Reply.ANSWER, Reply.ERROR, Reply.LOSE_BY_503}
    assert any(fate.dropped for fate in fates)
    first.plan = plan
    assert [first.draw(body) for _ in range(200)] == fates


def test_no_plan_is_no_fault() -> None:
    assert {Faults().draw(b"{}") for _ in range(100)} == {Fate()}


def test_a_rate_is_counted_over_one_second() -> None:
    now = [100.0]
    faults = Faults(FaultPlan(requests_per_second=2), clock=lambda: now[0])
    assert [faults.draw(b"{}").reply for _ in range(3)] == [
        Reply.ANSWER,
        Reply.ANSWER,
        Reply.TOO_MANY,
    ]
    now[0] += 1
    assert faults.draw(b"{}").reply is Reply.ANSWER


def test_a_plan_knows_its_faults() -> None:
    plan = FaultPlan.parsed({"drop": 0.5, "methods": ["sendTransaction"]})
    assert plan == FaultPlan(drop=0.5, methods=("sendTransaction",))
    with pytest.raises(ValueError, match="no such fault: dorp"):
        FaultPlan.parsed({"dorp": 1})


def test_requests_are_counted_whatever_becomes_of_them(
    healthy: Localnet, http: httpx2.Client
) -> None:
    before = healthy.requests["getVersion"]
    ask(http, healthy, "getVersion")
    assert healthy.requests["getVersion"] == before + 1


def test_a_payment_survives_all_of_it(healthy: Localnet, http: httpx2.Client) -> None:
    value = ask(http, healthy, "getLatestBlockhash", {"commitment": "confirmed"})["value"]
    someone = Keypair().pubkey()
    tx = v1([pay(someone, SOL)], Hash.from_string(value["blockhash"]))
    healthy.faults = FaultPlan(
        seed=3, drop=0.3, lost_reply=0.2, error=0.2, unavailable=0.1, too_many=0.1, delay=0.2
    )
    options = {"encoding": "base64", "skipPreflight": True}
    deadline = time.monotonic() + 20
    while healthy.ledger.bank("confirmed").account(someone) is None:
        assert time.monotonic() < deadline
        try:
            post(http, healthy, "sendTransaction", text(tx), options)
        except httpx2.TransportError:
            continue
    healthy.faults = FaultPlan()
    level = {"commitment": "confirmed"}
    assert ask(http, healthy, "getBalance", str(someone), level)["value"] == SOL
