"""Errors are told by setting only, and without anything that is nobody else's business."""

from __future__ import annotations

import gzip
import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from gridtoken.sentry import HIDDEN, Scrubber
from tests.gridtoken.conftest import Manage

KEY = [7, *range(63)]
RPC_KEY = "0123456789abcdef0123456789abcdef"
BOOM = f"""
import logging, structlog, sys
from django_q import worker
try:
    1 / 0
except ZeroDivisionError:
    worker.error_reporter.report()  # as it does with a task that failed
structlog.get_logger("minting.x").error(
    "signing_stopped", batch_id="b-1", code="gate_closed", reason="see https://node.example/{RPC_KEY}",
    wallet="w-1", owner="Anong Srisuk",
)
local = "Anong Srisuk"
raise ValueError(
    "key {KEY} at https://node.example/{RPC_KEY}?x=1 and a-long-random-text-0123456789"
    "-abcdefghijklmnopqrstuvwxyz\\nDETAIL: Key (name)=(Anong Srisuk) already exists."
)
"""


@contextmanager
def sentry() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Takes envelopes as a Sentry does; its DSN, and the events that came."""
    events: list[dict[str, Any]] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            events.append(json.loads(body.split(b"\n")[2]))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        try:
            yield f"http://public@127.0.0.1:{server.server_address[1]}/1", events
        finally:
            server.shutdown()


def test_what_is_told_is_about_the_code(manage: Manage):
    with sentry() as (dsn, events):
        done = manage(
            *("shell", "--no-imports", "-c", BOOM),
            SENTRY_DSN=dsn,
            SOLANA_RPC_URL=f"https://node.example/{RPC_KEY}",
            DATABASE_URL="postgresql://user:database-password@127.0.0.1:1/name",
        )
        assert done.returncode != 0

    told = {_kind(event): event for event in events}
    assert told.keys() == {"signing_stopped", "ZeroDivisionError", "ValueError"}
    logged, raised = told["signing_stopped"], told["ValueError"]
    assert logged["logentry"]["message"] == "signing_stopped"
    assert logged["extra"] == {
        "batch_id": "b-1",
        "code": "gate_closed",
        "reason": "see https://node.example",
    }
    (error,) = raised["exception"]["values"]
    assert (error["type"], raised["environment"]) == ("ValueError", "production")
    assert raised["release"].startswith("gridtoken@")
    assert error["value"].startswith(f"key {HIDDEN} at https://node.example and {HIDDEN}")
    assert "extra" not in raised  # the command line
    words = json.dumps(events)
    for secret in (RPC_KEY, "Anong", "database-password", "w-1", "a-long-random-text"):
        assert secret not in words, secret
    assert '"vars"' not in words


def _kind(event: dict[str, Any]) -> str:
    if "exception" in event:
        return str(event["exception"]["values"][0]["type"])
    return str(event["logentry"]["message"])


def test_a_request_is_its_method_and_its_host():
    event = {
        "request": {
            "method": "POST",
            "url": "https://mint.utility.example/admin/?q=Anong",
            "query_string": "q=Anong",
            "headers": {"Authorization": "Bearer x"},
            "data": {"a": 1},
        },
        "user": {"id": "7", "email": "a@utility.example", "ip_address": "10.0.0.9"},
        "breadcrumbs": {"values": [{"message": "SELECT"}]},
        "message": "postgresql://user:pw@db.example/name and redis://:word@cache:6379/0",
    }

    told = Scrubber(["secret"])(event, {})

    assert told == {
        "request": {"method": "POST", "url": "https://mint.utility.example"},
        "user": {"id": "7"},
        "message": "postgresql://db.example and redis://cache:6379",
    }
