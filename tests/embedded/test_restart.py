"""Stopping, being killed, and starting again on the same ledger."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from gridtoken.embedded.chain.ledger import Ledger
from gridtoken.embedded.chain.rules import Rules
from gridtoken.embedded.chain.store import LedgerInUse

from .chain import (
    HOUSEHOLD,
    MINT,
    OPERATOR,
    OUTSIDER,
    SOL,
    Chain,
    memo,
    minted,
    opened,
    pay,
    v1,
    wallets,
)

RULES = Rules(skip_one_in=0)
PATIENCE = 20.0


class Reopening:
    """A chain that can be stopped and started again."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.chain = Chain(Ledger(directory, RULES))

    def again(self) -> Chain:
        self.chain.ledger.close()
        self.chain = Chain(Ledger(self._directory, RULES))
        return self.chain


@pytest.fixture
def restart(tmp_path: Path) -> Iterator[Reopening]:
    reopening = Reopening(tmp_path)
    reopening.chain.fund(OPERATOR.pubkey(), 100 * SOL)
    yield reopening
    reopening.chain.ledger.close()


def told(chain: Chain) -> dict[str, Any]:
    """All that the chain has to say of itself."""
    answers: dict[str, Any] = {"genesis": chain.ask("getGenesisHash")}
    for level in ("processed", "confirmed", "finalized"):
        options = {"commitment": level}
        answers[level] = [
            chain.ask("getEpochInfo", options),
            chain.ask("getLatestBlockhash", options),
            [chain.balance(key.pubkey(), level) for key in (OPERATOR, HOUSEHOLD, MINT)],
        ]
    for level in ("confirmed", "finalized"):
        rows = chain.ask("getSignaturesForAddress", str(OPERATOR.pubkey()), {"commitment": level})
        shown: dict[str, Any] = {"commitment": level, "maxSupportedTransactionVersion": 1}
        answers[f"history {level}"] = [
            (row, chain.ask("getTransaction", row["signature"], shown)) for row in rows
        ]
        answers[f"statuses {level}"] = chain.ask(
            "getSignatureStatuses", [row["signature"] for row in rows]
        )
    return answers


def test_a_restart_loses_nothing(restart: Reopening) -> None:
    chain = restart.chain
    chain.create_mint()
    chain.land(v1([opened(wallet) for wallet in wallets(3)], chain.blockhash))
    chain.blocks(40)
    chain.land(v1([minted(wallet, 5) for wallet in wallets(3)], chain.blockhash))
    chain.blocks(3)
    chain.land(v1([pay(HOUSEHOLD.pubkey(), SOL), memo("late")], chain.blockhash))
    before = told(chain)
    chain = restart.again()
    assert told(chain) == before
    tip = chain.ledger.tip
    chain.blocks()
    assert chain.ledger.tip.height == tip.height + 1
    assert chain.ledger.tip.slot > tip.slot


def test_a_transaction_of_before_cannot_land_again_after(restart: Reopening) -> None:
    chain = restart.chain
    tx = v1([pay(HOUSEHOLD.pubkey(), SOL)], chain.blockhash)
    chain.land(tx)
    chain = restart.again()
    chain.send(tx)
    chain.blocks()
    assert chain.ledger.refused[-1] == (tx.signatures[0], "AlreadyProcessed")
    assert chain.balance(HOUSEHOLD.pubkey()) == SOL


def test_what_was_waiting_when_it_stopped_lands_after(restart: Reopening) -> None:
    chain = restart.chain
    tx = v1([pay(HOUSEHOLD.pubkey(), SOL)], chain.blockhash)
    signature = chain.send(tx)
    chain = restart.again()
    chain.blocks()
    assert chain.status(signature) is not None
    chain = restart.again()
    assert len(chain.ledger.mempool) == 0


def test_a_fork_is_possible_after_a_restart(restart: Reopening) -> None:
    chain = restart.chain
    chain.blocks(40)
    tx = v1([pay(HOUSEHOLD.pubkey(), SOL)], chain.blockhash)
    chain.land(tx)
    chain.blocks(5)
    chain = restart.again()
    assert chain.ledger.fork(6) == [tx.signatures[0]]
    assert chain.balance(HOUSEHOLD.pubkey()) == 0
    chain = restart.again()
    assert chain.balance(HOUSEHOLD.pubkey()) == 0
    assert chain.status(str(tx.signatures[0]), search=True) is None


def test_a_block_half_made_is_not_there_after_a_restart(restart: Reopening) -> None:
    chain = restart.chain
    before = told(chain)
    chain.send(v1([pay(HOUSEHOLD.pubkey(), SOL)], chain.blockhash))
    steps = chain.ledger.steps()
    next(steps)
    assert told(chain) == before
    chain = restart.again()
    assert told(chain) == before
    chain.blocks()
    assert chain.balance(HOUSEHOLD.pubkey()) == SOL


def test_a_ledger_has_one_server(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    with pytest.raises(LedgerInUse, match="another process serves the ledger"):
        Ledger(tmp_path)
    ledger.close()
    Ledger(tmp_path).close()


class Served:
    """A server in a process of its own."""

    def __init__(self, directory: Path, *options: str) -> None:
        self._port_file = directory / "port"
        self._port_file.unlink(missing_ok=True)
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-X", "dev", "-W", "error"),
                *("-m", "gridtoken.embedded.server", "--port", "0", "--slot-ms", "20"),
                *("--ledger", str(directory / "ledger"), "--port-file", str(self._port_file)),
                *options,
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        until(self._port_file.exists, self)
        self.url = f"http://127.0.0.1:{self._port_file.read_text().strip()}"

    def ask(self, method: str, *params: object) -> Any:
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        answer = self.post("/", body)
        assert "error" not in answer, answer
        return answer["result"]

    def post(self, path: str, body: object) -> Any:
        request = urllib.request.Request(  # noqa: S310 - our own server
            self.url + path,
            json.dumps(body).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=PATIENCE) as response:  # noqa: S310
            return json.load(response)

    def stop(self, number: int = signal.SIGTERM) -> tuple[str, str]:
        self.process.send_signal(number)
        return self.process.communicate(timeout=PATIENCE)


def until(condition: Callable[[], Any], served: Served) -> Any:
    deadline = time.monotonic() + PATIENCE
    while not (found := condition()):
        if served.process.poll() is not None or time.monotonic() > deadline:
            served.process.kill()
            raise AssertionError(served.process.communicate())
        time.sleep(0.01)
    return found


@contextmanager
def served(directory: Path, *options: str) -> Iterator[Served]:
    server = Served(directory, *options)
    try:
        yield server
    finally:
        if server.process.poll() is None:
            server.stop(signal.SIGKILL)


def confirmed(server: Served, signature: str) -> Any:
    (status,) = server.ask("getSignatureStatuses", [signature])["value"]
    return status if status and status["confirmationStatus"] != "processed" else None


def test_kill_9_loses_no_block_that_was_seen(tmp_path: Path) -> None:
    key = str(OUTSIDER.pubkey())
    seen: dict[str, Any] = {}
    for _ in range(2):
        with served(tmp_path) as server:
            assert seen.setdefault("genesis", server.ask("getGenesisHash")) == server.ask(
                "getGenesisHash"
            )
            for signature, status in seen.get("statuses", {}).items():
                (now,) = server.ask("getSignatureStatuses", [signature])["value"]
                assert (now["slot"], now["err"]) == (status["slot"], None)
            info = server.ask("getEpochInfo", {"commitment": "processed"})
            assert info["absoluteSlot"] >= seen.get("slot", 0)
            given = len(seen.setdefault("statuses", {}))
            assert server.ask("getBalance", key)["value"] <= given * SOL
            for _ in range(3):
                sent = server.ask("requestAirdrop", key, SOL)
                seen["statuses"][sent] = until(partial(confirmed, server, sent), server)
            seen["slot"] = server.ask("getSlot", {"commitment": "processed"})
            os.kill(server.process.pid, signal.SIGKILL)
            server.process.communicate(timeout=PATIENCE)
    with served(tmp_path) as server:
        level = {"commitment": "processed"}
        assert server.ask("getBalance", key, level)["value"] == 6 * SOL
        rows = server.ask("getSignaturesForAddress", key, {"commitment": "confirmed"})
        assert {row["signature"] for row in rows} == set(seen["statuses"])


def test_the_server_says_where_it_listens_and_stops_quietly(tmp_path: Path) -> None:
    with served(tmp_path, "--control") as server:
        assert server.ask("getHealth") == "ok"
        assert server.post("/control", {"pause": True, "advance": 5})["height"] >= 4
        output, errors = server.stop()
    assert output.count("\n") == 1
    assert output.startswith(f"localnet: {server.url}, slot 0 of ")
    assert errors == ""
    assert server.process.returncode == 0


def test_control_c_is_no_traceback(tmp_path: Path) -> None:
    with served(tmp_path) as server:
        assert server.stop(signal.SIGINT)[1] == ""
    assert server.process.returncode == 0


def test_a_taken_port_or_ledger_is_one_line(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "gridtoken.embedded.server"]
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        ended = subprocess.run(
            [*command, "--port", port, "--ledger", str(tmp_path / "ledger")],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
    assert ended.returncode == 1
    assert ended.stderr.startswith(f"localnet: port {port} is not free")
    ledger = Ledger(tmp_path / "ledger")
    ended = subprocess.run(
        [*command, "--port", "0", "--ledger", str(tmp_path / "ledger")],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    ledger.close()
    assert ended.returncode == 1
    assert ended.stderr == (
        f"localnet: another process serves the ledger in {tmp_path / 'ledger'}\n"
    )
