"""How the verifier asks a node: busy ones again, useless answers never taken for an answer."""

from __future__ import annotations

import json
import sys
from base64 import b64encode
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import pytest

from minting.engine.audit_pack import PackBatch, PackTransaction
from tests.verify.packs import GOLDEN, VERIFY, lines_of, verify


class Server(HTTPServer):
    """Answers (status, headers, body) one by one; the last one stays."""

    answers: list[tuple[int, dict[str, str], bytes]]
    heard: list[dict[str, Any]]


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        length = int(self.headers["Content-Length"])
        self.server.heard.append(json.loads(self.rfile.read(length)))
        answers = self.server.answers
        status, headers, body = answers.pop(0) if len(answers) > 1 else answers[0]
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_args: object) -> None:
        """Nothing."""


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(("127.0.0.1", 0), Handler) as server:
        server.heard = []
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def chain(monkeypatch: pytest.MonkeyPatch) -> Any:
    """docs/verify/chain.py, in this process and without patience."""
    monkeypatch.syspath_prepend(str(VERIFY.parent))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    import chain  # type: ignore[import-not-found]

    monkeypatch.setattr(chain, "PAUSE", 0.01)
    return chain


def url(server: Server) -> str:
    return f"http://127.0.0.1:{server.server_port}/?api-key=SECRET"


def result(value: object) -> tuple[int, dict[str, str], bytes]:
    return 200, {}, json.dumps({"jsonrpc": "2.0", "id": 1, "result": value}).encode()


def test_a_busy_node_is_asked_again(chain, server):
    server.answers = [(429, {"Retry-After": "0"}, b""), (503, {}, b""), result(7)]
    assert chain.Node(url(server)).ask("getSlot") == 7
    assert [each["method"] for each in server.heard] == ["getSlot"] * 3


def test_a_node_that_stays_busy_gives_no_answer(chain, server):
    server.answers = [(429, {}, b"")]
    with pytest.raises(chain.Unasked, match="HTTP 429"):
        chain.Node(url(server)).ask("getSlot")
    assert len(server.heard) == chain.TRIES


@pytest.mark.parametrize(
    "answer",
    [
        (200, {}, b'{"jsonrpc":"2.0","id":1,"error":{"code":-32005,"message":"behind"}}'),
        (200, {}, b"<html>"),
        (200, {}, b"[]"),
        (200, {}, b""),
        (401, {}, b""),
    ],
)
def test_what_is_no_answer_is_not_taken_for_one(chain, server, answer):
    server.answers = [answer]
    with pytest.raises(chain.Unasked):
        chain.Node(url(server)).ask("getSlot")
    assert len(server.heard) == 1


@pytest.mark.parametrize(
    ("header", "seconds"), [(None, 0.01), ("5", 5), ("9999", 60), ("soon", 0.01), ("-1", 0.01)]
)
def test_a_node_says_how_long_to_wait_within_reason(chain, header, seconds):
    assert chain.pause_of(header) == seconds


def test_pages_of_history_follow_each_other(chain, server):
    rows = [{"signature": str(number), "err": None, "blockTime": number} for number in range(3)]
    server.answers = [result(rows[:2]), result(rows[2:]), result([])]
    assert [entry.time for entry in chain.Node(url(server)).history("x")] == [0, 1, 2]
    assert [each["params"][1].get("before") for each in server.heard] == [None, "1", "2"]


@pytest.mark.parametrize(
    "page",
    [None, {}, "x", 5, [5], [{"err": None}], [{"signature": "x", "err": None, "blockTime": "x"}]],
)
def test_a_history_that_cannot_be_read_is_none(chain, server, page):
    server.answers = [result(page)]
    with pytest.raises(chain.Unasked):
        list(chain.Node(url(server)).history("x"))


def test_a_history_that_goes_round_in_circles_is_none(chain, server):
    server.answers = [result([{"signature": "x", "err": None}])]
    with pytest.raises(chain.Unasked, match="backwards"):
        list(chain.Node(url(server)).history("x"))


def transaction(row: PackTransaction) -> dict[str, Any]:
    """As a node that has it answers."""
    fee = row.network_fee_lamports + row.priority_fee_lamports
    meta = {"err": None, "fee": fee, "preBalances": [10**10]}
    meta["postBalances"] = [10**10 - fee - row.rent_lamports]
    raw = [b64encode(row.raw).decode(), "base64"]
    return {"slot": row.slot, "meta": meta, "transaction": raw}


@pytest.mark.parametrize(("kept", "code"), [(2, 0), (1, 2), (0, 2)])
def test_a_history_without_what_the_pack_has_does_not_show_that_nothing_is_missing(
    server, tmp_path, kept, code
):
    head, *_ = lines = lines_of(GOLDEN[0].read_bytes())
    assert isinstance(head, PackBatch)
    rows = [line for line in lines if isinstance(line, PackTransaction)]
    history = [{"signature": row.signature, "err": None} for row in rows]
    server.answers = [
        result(head.genesis_hash),
        *[result(transaction(row)) for row in rows],
        *([result(history[:kept])] if kept else []),
        result([]),
    ]

    found, told = verify(GOLDEN[0], tmp_path, "--rpc", url(server))

    assert found == code, told
    assert ("the node's history is cut off" in told) == (code == 2)


def test_a_node_is_named_without_what_is_secret(server, tmp_path):
    """One that has never heard of anything: the pack differs, the key of the URL stays unsaid."""
    server.answers = [
        result("8egVgvMkMXtbQ7E8rEr3sfJ3MSjbidzAyGxuJ7ndLu3q"),
        result(None),
        result(None),
        result([]),
    ]
    code, told = verify(GOLDEN[0], tmp_path, "--rpc", url(server))
    assert code == 1
    assert "the pack is of the cluster" in told
    assert told.count("and the node has it not") == 2
    assert f"asked at 127.0.0.1:{server.server_port}" in told
    assert "SECRET" not in told


@pytest.mark.parametrize("answer", [{}, {"meta": None}, {"meta": {"fee": 1}}, [], "x", 5])
def test_a_transaction_that_cannot_be_read_verifies_nothing(server, tmp_path, answer):
    server.answers = [result("x"), result(answer)]
    code, told = verify(GOLDEN[0], tmp_path, "--rpc", url(server))
    assert (code, told.splitlines()[-1][:10]) == (2, "UNVERIFIED")
