"""The same request twenty times at once, over HTTP, at a real gunicorn of two processes."""

from __future__ import annotations

import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Barrier
from typing import Any
from unittest.mock import patch

import httpx2
import pytest
from django.contrib.auth.models import User
from django.db import connection, transaction
from django.db.models import Q
from rest_framework.test import APIClient

from gridtoken.demo import free_port
from minting.access.models import ApiToken
from minting.access.scopes import Scope
from minting.engine.states import ResultStatus
from minting.journal.results import move_results
from minting.models import IdempotencyKey, MintBatch
from readings.models import MeterReading
from tests.factories.readings import MeterFactory, MeterReadingFactory
from tests.minting.api.history import queued_batch
from tests.minting.conftest import MintingChain, drain, minting_chain
from tests.scenarios.clusters import until

__all__ = ["drain", "minting_chain"]

pytestmark = pytest.mark.django_db(transaction=True)

ROOT = Path(__file__).resolve().parent.parent.parent
CALLERS = 20


@dataclass(frozen=True)
class Web:
    """The API, and a token for it."""

    url: str
    token: str

    def post(self, path: str, body: Any, key: str, **more: str) -> httpx2.Response:
        headers = {"Authorization": f"Bearer {self.token}", "Idempotency-Key": key, **more}
        return httpx2.post(f"{self.url}/api/v1{path}", json=body, headers=headers, timeout=60)

    def at_once(self, path: str, bodies: Sequence[Any], key: str) -> list[httpx2.Response]:
        """All of them, each from a thread of its own, in the same moment."""
        barrier = Barrier(len(bodies))

        def send(body: Any) -> httpx2.Response:
            barrier.wait(30)
            return self.post(path, body, key)

        with ThreadPoolExecutor(len(bodies)) as threads:
            return list(threads.map(send, bodies))


@pytest.fixture
def web(
    minting_chain: MintingChain, child_environment: dict[str, str], tmp_path: Path
) -> Iterator[Web]:
    user = User.objects.create_user("gateway")
    scopes = [Scope.MINT, Scope.SUBMIT, Scope.READ]
    _, token = ApiToken.objects.issue(user=user, scopes=scopes, expires_in=None)
    port = free_port()
    log = tmp_path / "web.log"
    with log.open("wb") as output:
        server = subprocess.Popen(
            [sys.executable, "-m", "gunicorn", "--bind", f"127.0.0.1:{port}"],
            cwd=ROOT,
            env={
                **child_environment,
                "DJANGO_SETTINGS_MODULE": "tests.settings",
                "WEB_CONCURRENCY": "2",
                "SOLANA_RPC_URL": minting_chain.net.url,
                "MINT_AUTHORITY_ADDRESS": str(minting_chain.authority.pubkey()),
                "ENERGY_TOKEN_MINT": str(minting_chain.mint),
            },
            stdout=output,
            stderr=output,
        )
    try:
        url = f"http://127.0.0.1:{port}"
        _wait_until_alive(url, server, log)
        yield Web(url, token)
    finally:
        server.terminate()
        server.wait(30)


def _wait_until_alive(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    give_up = time.monotonic() + 60
    while True:
        try:
            if httpx2.get(f"{url}/healthz", timeout=5).status_code == 200:
                return
        except httpx2.TransportError:
            assert server.poll() is None, log.read_text()
        assert time.monotonic() < give_up, log.read_text()
        time.sleep(0.1)


def told(answers: Sequence[httpx2.Response], *allowed: tuple[int, str]) -> Counter[tuple[int, str]]:
    """How often what was answered: status, and code or id."""
    counted = Counter(
        (each.status_code, each.json().get("code") or each.json().get("id", "")) for each in answers
    )
    assert set(counted) <= set(allowed)
    for each in answers:
        assert each.status_code != 409 or each.headers["Retry-After"] == "1"
    return counted


RUNNING = (409, "idempotency_key_in_progress")


def named(readings: Sequence[MeterReading]) -> dict[str, list[str]]:
    return {"reading_ids": [str(each.id) for each in readings]}


def test_twenty_at_once_are_one_batch(
    web: Web, minting_chain: MintingChain, drain: Callable[[], None]
) -> None:
    for number in range(5):
        body = named([MeterReadingFactory() for _ in range(3)])

        answers = web.at_once("/mint-batch", [body] * CALLERS, f"round {number}")

        assert MintBatch.objects.count() == number + 1
        batch = str(MintBatch.objects.latest("id").id)
        assert told(answers, (202, batch), RUNNING)[202, batch] >= 1
        again = web.post("/mint-batch", body, f"round {number}")
        assert (again.status_code, again.json()["id"]) == (202, batch)
    drain()
    assert minting_chain.supply() == 5 * 3 * 250_000_000


def test_twenty_single_mints_at_once_are_one(web: Web) -> None:
    path = f"/readings/{MeterReadingFactory().id}/mint"

    answers = web.at_once(path, [None] * CALLERS, "k")

    batch = str(MintBatch.objects.get().id)
    assert told(answers, (202, batch), RUNNING)[202, batch] >= 1


def test_twenty_retries_at_once_are_one(web: Web) -> None:
    first = queued_batch([MeterReadingFactory()])
    with transaction.atomic():
        move_results(
            Q(batch=first),
            old={ResultStatus.PENDING},
            new=ResultStatus.FAILED,
            code="node_unreachable",
            reason="No node answered",
        )

    answers = web.at_once(f"/mint-batches/{first.id}/retry", [None] * CALLERS, "k")

    batch = str(MintBatch.objects.get(retry_of=first).id)
    assert told(answers, (202, batch), RUNNING)[202, batch] >= 1


def test_of_two_requests_with_one_key_one_has_an_effect(web: Web) -> None:
    one, other = (named([MeterReadingFactory()]) for _ in range(2))

    answers = web.at_once("/mint-batch", [one, other] * (CALLERS // 2), "k")

    batch = MintBatch.objects.get()
    reused = (422, "idempotency_key_reused")
    assert told(answers, (202, str(batch.id)), RUNNING, reused)[202, str(batch.id)] >= 1
    winner = one if str(batch.results.get().reading_id) in one["reading_ids"] else other
    loser = other if winner is one else one
    assert web.post("/mint-batch", winner, "k").json()["id"] == str(batch.id)
    assert web.post("/mint-batch", loser, "k").json()["code"] == "idempotency_key_reused"
    assert set(MeterReading.objects.values_list("status", flat=True)) == {"minting", "pending"}


def test_twenty_lists_at_once_are_taken_once(web: Web) -> None:
    meter = MeterFactory()
    items = [
        {
            "meter_serial": meter.serial,
            "kwh_amount": "0.25",
            "period_start": f"2026-11-23T{n // 4:02}:{n % 4 * 15:02}:00Z",
            "period_end": f"2026-11-23T{(n + 1) // 4:02}:{(n + 1) % 4 * 15:02}:00Z",
        }
        for n in range(90)
    ]

    answers = web.at_once("/readings", [items] * CALLERS, "k")

    assert MeterReading.objects.count() == 90
    done = {each.content for each in answers if each.status_code == 200}
    assert told(answers, (200, ""), RUNNING)[200, ""] >= 1
    assert len(done) == 1
    assert web.post("/readings", items, "k").content in done
    assert web.post("/readings", items, "k").json()["created"] == 90


def test_a_repeat_does_not_wait_for_a_first_that_waits(web: Web) -> None:
    """Its batch is committed: that it waits for the outcome is nobody else's matter."""
    body = named([MeterReadingFactory()])
    with ThreadPoolExecutor(1) as thread:
        first = thread.submit(web.post, "/mint-batch", body, "k", Prefer="wait=10")
        until(IdempotencyKey.objects.exists)
        again = web.post("/mint-batch", body, "k")
        assert not first.done()

    assert (again.status_code, first.result().status_code) == (202, 202)
    assert again.json()["id"] == first.result().json()["id"] == str(MintBatch.objects.get().id)


@contextmanager
def _everybody_is_alone(_request: object) -> Iterator[bool]:
    yield True


def test_a_lock_that_fails_mints_nothing_twice(
    minting_chain: MintingChain, drain: Callable[[], None]
) -> None:
    """As behind a proxy that pools by transaction: the row alone decides, and all get its batch."""
    user = User.objects.create_user("gateway")
    _, token = ApiToken.objects.issue(user=user, scopes=[Scope.MINT], expires_in=None)
    headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": "k"}
    body, barrier = named([MeterReadingFactory() for _ in range(3)]), Barrier(8)

    def send(_number: int) -> Any:
        try:
            barrier.wait(30)
            return APIClient().post("/api/v1/mint-batch", body, headers=headers)
        finally:
            connection.close()

    with (
        patch("minting.service.requests.repeats.alone", _everybody_is_alone),
        ThreadPoolExecutor(8) as threads,
    ):
        answers = list(threads.map(send, range(8)))

    batch = str(MintBatch.objects.get().id)
    assert {(each.status_code, each.json()["id"]) for each in answers} == {(202, batch)}
    assert IdempotencyKey.objects.count() == 1
    drain()
    assert minting_chain.supply() == 3 * 250_000_000
