"""Several nodes: a bad one costs no reading and pays none twice."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from unittest.mock import patch

import pytest
from django.test import override_settings
from starlette.applications import Starlette

from gridtoken.embedded.chain.transaction import decode
from gridtoken.embedded.faults import FaultPlan, Faults
from gridtoken.embedded.localnet import Localnet
from gridtoken.embedded.rpc.service import Service
from gridtoken.embedded.server import Server, listening_socket
from minting.engine.errors import MintingRefused, SolanaError
from minting.models import BatchSource, MintBatch, MintTransaction
from minting.service.chain.session import open_session
from minting.service.drive import submit
from minting.service.drive.recover import recover
from minting.service.drive.tracking import Flight, tick
from minting.service.requests.prepare import request_batch
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


class Mirror(Service):
    """Another node of the same chain, with faults of its own; it makes no slots."""

    @asynccontextmanager
    async def _lifespan(self, _app: Starlette) -> AsyncIterator[None]:
        yield


@contextmanager
def another_node(net: Localnet, plan: FaultPlan) -> Iterator[tuple[str, Service]]:
    """Its address, and what it was asked."""
    service = Mirror(net.ledger, faults=Faults(plan))
    ready = threading.Event()
    server = Server(service, on_listening=ready.set)
    with listening_socket(0) as listener:
        thread = threading.Thread(target=asyncio.run, args=(server.serve(sockets=[listener]),))
        thread.start()
        try:
            assert ready.wait(10)
            yield f"http://127.0.0.1:{listener.getsockname()[1]}", service
        finally:
            server.should_exit = True
            thread.join(10)


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


LAG = 60
"""Blocks."""


@pytest.mark.parametrize("lagging_first", [True, False])
def test_i4_of_two_nodes_one_lags_and_what_landed_is_never_called_dead(
    minting_chain, drain, lagging_first
):
    """It lands at the end of its life, final for one node and not even processed for the other."""
    reading = household().reading()
    queue(reading)
    die(drain, "minting.service.drive.wave.send")
    row = MintTransaction.objects.get()
    net = minting_chain.net
    net.pause()
    try:
        with another_node(net, FaultPlan(lag_slots=LAG)) as (lagging, asked):
            urls = [lagging, net.url] if lagging_first else [net.url, lagging]
            with override_settings(SOLANA_RPC_URLS=urls):
                while net.ledger.tip.height < row.last_valid_block_height:
                    net.advance(1)
                net.ledger.send(decode(bytes(row.raw)))
                # Past its life and final for the one, not even processed for the other.
                net.advance(LAG // 2)
                recover_while_it_goes_on(net)
            assert asked.rpc.requests["getSignatureStatuses"] or not lagging_first
    finally:
        net.resume()

    row.refresh_from_db()
    assert row.status in {"sent", "confirmed", "finalized"}
    assert MintTransaction.objects.count() == 1
    drain()
    recover_while_it_goes_on(net)
    assert_minted_once(minting_chain, reading)


def test_i4_a_proof_of_death_never_mixes_nodes(minting_chain, drain):
    """With a node that lags and one that does not: height and statuses are of one of them."""
    reading = household().reading()
    queue(reading)
    die(drain, "minting.service.drive.wave.send")
    row = MintTransaction.objects.get()
    minting_chain.net.expire_blockhashes()
    minting_chain.net.wait_slots(LAG + 45)
    before = minting_chain.net.requests["getSignatureStatuses"]
    with another_node(minting_chain.net, FaultPlan(lag_slots=LAG)) as (lagging, asked):
        with (
            override_settings(SOLANA_RPC_URLS=[lagging, minting_chain.net.url]),
            open_session() as session,
        ):
            report = recover(session)
        told = asked.rpc.requests

    row.refresh_from_db()
    assert (report.expired, row.status) == (1, "expired")
    assert row.evidence["node"] in lagging
    assert told["getSignatureStatuses"] == 1 + len(row.evidence["reports"])
    assert minting_chain.net.requests["getSignatureStatuses"] == before
    drain()
    assert_minted_once(minting_chain, reading)


def recover_while_it_goes_on(net: Localnet) -> None:
    """A pass of recovery, and the chain makes its slots meanwhile."""
    done = threading.Event()

    def go_on() -> None:
        while not done.wait(0.05):
            net.advance(1)

    slots = threading.Thread(target=go_on)
    slots.start()
    try:
        with open_session() as session:
            recover(session)
    finally:
        done.set()
        slots.join()


def test_a_node_of_another_cluster_says_nothing_of_what_landed_here(minting_chain, drain):
    """Named by mistake, or the only one that answers: its silence takes nothing back."""
    reading = household().reading()
    batch = mint([reading], drain=drain)
    row = MintTransaction.objects.get()
    with Localnet(slot_ms=50) as elsewhere:
        elsewhere.advance(minting_chain.net.slot + 50)
        with (
            override_settings(SOLANA_RPC_URLS=["http://127.0.0.1:9", elsewhere.url]),
            open_session() as session,
        ):
            flight = Flight.of(row)
            assert tick(session, [flight], search_history=True) == [flight]
            assert flight.status == row.status
            with pytest.raises(SolanaError):
                recover(session)
            next_ = queue(MeterReadingFactory())
            with patch.object(submit, "PATIENCE", 0.5):
                submit.drive_waiting(session, worker="test")
        asked = set(elsewhere.requests)

    assert asked == {"getGenesisHash"}
    row.refresh_from_db()
    assert row.status == "confirmed"
    batch.refresh_from_db()
    next_.refresh_from_db()
    assert batch.status == "succeeded"
    assert next_.failed_mints == 0, "nothing failed of it: the right node comes back"
    drain()
    assert minting_chain.supply() == 500_000_000
