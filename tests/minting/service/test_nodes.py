"""Several nodes: a bad one costs no reading and pays none twice."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from django.test import override_settings

from gridtoken.embedded.faults import FaultPlan
from gridtoken.embedded.localnet import Localnet
from minting.engine.errors import MintingRefused
from minting.models import BatchSource, MintBatch, MintTransaction
from minting.service.prepare import request_batch
from minting.service.recover import recover
from minting.service.session import open_session
from tests.factories.readings import MeterReadingFactory, household
from tests.minting.service.test_minting import mint
from tests.minting.service.test_recovery import assert_minted_once, die, queue

pytestmark = pytest.mark.django_db(transaction=True)


@contextmanager
def node_that_answers(status: int, headers: dict[str, str] | None = None) -> Iterator[str]:
    """A node that gives every request the same refusal."""

    class Refusal(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(status)
            for name, value in {"Content-Length": "0", **(headers or {})}.items():
                self.send_header(name, value)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Refusal) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join(5)


@pytest.mark.parametrize(
    ("status", "headers"), [(503, {}), (429, {"Retry-After": "30"}), (500, {})]
)
def test_a_node_that_refuses_everything_is_passed_over(minting_chain, drain, status, headers):
    reading = household().reading()
    with (
        node_that_answers(status, headers) as broken,
        override_settings(SOLANA_RPC_URLS=[broken, minting_chain.net.url]),
    ):
        mint([reading], drain=drain)

    assert_minted_once(minting_chain, reading)


def test_a_node_that_is_not_there_is_passed_over(minting_chain, drain):
    reading = household().reading()
    with override_settings(SOLANA_RPC_URLS=["http://127.0.0.1:9", minting_chain.net.url]):
        mint([reading], drain=drain)

    assert_minted_once(minting_chain, reading)


def test_a_node_of_another_cluster_is_never_used(minting_chain, drain, settings):
    reading = household().reading()
    with open_session() as session:
        settings.SOLANA_GENESIS_HASH = session.run(session.cluster.genesis_hash())
    with Localnet(slot_ms=50) as elsewhere:
        with override_settings(SOLANA_RPC_URLS=[elsewhere.url, minting_chain.net.url]):
            mint([reading], drain=drain)
        asked = set(elsewhere.requests)
        with (
            override_settings(SOLANA_RPC_URLS=[elsewhere.url]),
            pytest.raises(MintingRefused, match="cluster"),
        ):
            request_batch([MeterReadingFactory().id], source=BatchSource.API, strict=True)

    assert asked == {"getGenesisHash"}
    assert MintBatch.objects.count() == 1
    assert_minted_once(minting_chain, reading)


def test_i4_a_lagging_node_never_causes_a_second_mint(minting_chain, drain):
    """A node far behind knows neither the landing nor a height that would prove death."""
    reading = household().reading()
    queue(reading)
    die(drain, "minting.journal.record_landed")
    minting_chain.net.faults = FaultPlan(lag_slots=60)

    with open_session() as session:
        report = recover(session)

    assert report.expired == 0
    assert MintTransaction.objects.get().status == "sent"
    minting_chain.net.faults = FaultPlan()
    drain()
    assert_minted_once(minting_chain, reading)
    assert MintTransaction.objects.count() == 1
