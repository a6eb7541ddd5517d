"""The chain as other tests use it."""

from __future__ import annotations

import json
import threading
import urllib.error
import urllib.request
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest
from solders.account import Account
from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from gridtoken.embedded.chain.rules import Commitment
from gridtoken.embedded.chain.store import LedgerInUse
from gridtoken.embedded.faults import FaultPlan
from gridtoken.embedded.localnet import Localnet
from gridtoken.embedded.rpc.registry import METHODS

from .chain import MEMO_PROGRAM, OPERATOR, SOL, Chain, v1


def status_of(url: str, **options: Any) -> int:
    request = urllib.request.Request(url, **options)  # noqa: S310 - our own server
    try:
        with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310
            return int(response.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code


def test_nothing_is_left_of_it_afterwards() -> None:
    before = set(threading.enumerate())
    with Localnet(slot_ms=20) as net:
        net.wait_slots(2)
        assert net.directory.exists()
    assert set(threading.enumerate()) == before
    assert not net.directory.exists()
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(net.url + "/health", timeout=1)  # noqa: S310


def test_the_next_one_goes_on_where_the_first_stopped(tmp_path: Path) -> None:
    someone = Keypair().pubkey()
    with Localnet(slot_ms=20, ledger=tmp_path) as net:
        net.airdrop(someone, SOL)
        genesis, slot = net.ledger.genesis_hash, net.slot
    with Localnet(slot_ms=20, ledger=tmp_path) as net:
        assert (net.ledger.genesis_hash, net.slot >= slot) == (genesis, True)
        account = net.ledger.bank().account(someone)
        assert account is not None
        assert account.lamports == SOL


def test_a_ledger_in_use_is_said_where_it_was_asked_for(tmp_path: Path) -> None:
    with Localnet(slot_ms=20, ledger=tmp_path), pytest.raises(LedgerInUse):
        Localnet(slot_ms=20, ledger=tmp_path).__enter__()


def test_a_broken_clock_stops_the_server_and_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(*_arguments: object) -> None:
        raise RuntimeError("the spring broke")

    net = Localnet(slot_ms=20).__enter__()
    net.wait_slots(2)
    monkeypatch.setattr(net.ledger, "steps", broken)
    net.wait_stopped()
    with pytest.raises(RuntimeError, match="the spring broke"):
        net.__exit__(None, None, None)


def test_a_bug_in_a_method_is_an_internal_error_and_logged(
    net: Localnet, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(METHODS, "getHealth", lambda _node, _params: 1 // 0)
    request = urllib.request.Request(  # noqa: S310 - our own server
        net.url,
        json.dumps({"jsonrpc": "2.0", "id": 1, "method": "getHealth"}).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310
        assert json.load(response)["error"]["code"] == -32603
    assert "ZeroDivisionError" in caplog.text


def test_a_program_can_be_put_on_the_chain(tmp_path: Path) -> None:
    program = Keypair().pubkey()
    with Localnet(slot_ms=20, ledger=tmp_path) as net:
        memo_program = net.ledger.machine.get(MEMO_PROGRAM)
        assert memo_program is not None
        net.add_program(program, memo_program.data)
    with Localnet(slot_ms=20, ledger=tmp_path) as net:
        net.airdrop(OPERATOR.pubkey(), SOL)
        chain = Chain(net.ledger)
        tx = v1([Instruction(program, b"called", [])], net.ledger.tip.blockhash)
        signature = chain.send(tx)
        net.wait_until(lambda: chain.status(signature) is not None)
        status = chain.status(signature)
        assert status is not None
        assert status["err"] is None


def test_a_paused_clock_stands_until_it_is_pushed(net: Localnet) -> None:
    net.pause()
    slot = net.slot
    net.advance(3)
    assert net.slot == slot + 3
    net.wait_slots(2)
    assert net.slot == slot + 5
    net.airdrop(Keypair().pubkey(), SOL)
    assert net.slot > slot + 5
    net.resume()
    net.wait_slots(1)


def test_accounts_are_imposed_at_every_commitment(net: Localnet) -> None:
    key = Keypair().pubkey()
    net.set_account(key, Account(7, b"x", Pubkey.default()))
    levels: tuple[Commitment, ...] = ("processed", "confirmed", "finalized")
    for level in levels:
        account = net.ledger.bank(level).account(key)
        assert account is not None
        assert (account.lamports, bytes(account.data)) == (7, b"x")


def test_the_same_orders_are_taken_as_json(net: Localnet) -> None:
    key = Keypair().pubkey()
    answer = net.control(
        {
            "pause": True,
            "faults": {"drop": 1.0},
            "advance": 2,
            "set_account": {"pubkey": str(key), "lamports": 5, "data": b64encode(b"z").decode()},
            "fork": 1,
            "expire_blockhashes": True,
        }
    )
    assert answer["lost"] == []
    assert answer["height"] == net.ledger.tip.height
    assert net.faults == FaultPlan(drop=1.0)
    account = net.ledger.bank().account(key)
    assert account is not None
    assert account.lamports == 5
    with pytest.raises(ValueError, match="no such order: explode"):
        net.control({"explode": True})
    net.faults = FaultPlan()
    net.resume()


def test_nobody_controls_a_chain_that_was_not_started_for_it(net: Localnet) -> None:
    body = json.dumps({"pause": True}).encode()
    assert status_of(net.url + "/control", data=body) == 404


def test_http_is_as_strict_as_a_node_s(net: Localnet) -> None:
    json_type = {"Content-Type": "application/json"}
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "getHealth"}).encode()
    assert status_of(net.url, data=body, headers=json_type) == 200
    assert status_of(net.url, data=body, headers={"Content-Type": "text/plain"}) == 415
    assert status_of(net.url, data=b" " * 51_201, headers=json_type) == 413
    assert status_of(net.url, method="GET") == 405
    assert status_of(net.url + "/health") == 200
