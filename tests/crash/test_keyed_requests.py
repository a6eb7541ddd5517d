"""A request with an Idempotency-Key, really killed at every step, and sent again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

import pytest
from django.contrib.auth.models import User
from django.db import connection, transaction
from django.db.models import Q
from rest_framework.test import APIClient

from minting.access.models import ApiToken
from minting.access.scopes import Scope
from minting.engine.states import ResultStatus
from minting.journal.results import move_results
from minting.models import IdempotencyKey, MintBatch
from minting.service.chain.preflight import inspect_or_recall
from readings.models import MeterReading
from tests.crash.caller import EFFECT, KEYED_POINTS
from tests.crash.points import Deed, Point, When
from tests.crash.scene import Scene, wait_stopped
from tests.factories.readings import MeterFactory
from tests.minting.api.asserts import problem

pytestmark = pytest.mark.django_db(transaction=True)

PATIENCE = 30.0
"""Seconds within which PostgreSQL notices that a process is gone; it takes milliseconds."""

MINT = "/api/v1/mint-batch"


def keyed_points(deed: Deed, where: str = "") -> pytest.MarkDecorator:
    chosen = [
        point
        for point in KEYED_POINTS
        if point.deed is deed and (where in point.where if where else "answer" not in point.where)
    ]
    return pytest.mark.parametrize("point", chosen, ids=lambda point: point.id)


@dataclass(frozen=True)
class Caller:
    """Sends the same request from processes that die, and from this one."""

    scene: Scene
    path: str
    body: Any
    headers: dict[str, str]

    def start(self, point: Point) -> subprocess.Popen[str]:
        wanted = {"path": self.path, "body": self.body, "headers": self.headers}
        index = str(KEYED_POINTS.index(point))
        return subprocess.Popen(
            [sys.executable, "-m", "tests.crash.caller", index, json.dumps(wanted)],
            env=self.scene.environment,
            stdout=subprocess.PIPE,
            text=True,
        )

    def answer_of(self, process: subprocess.Popen[str]) -> dict[str, Any]:
        out, _ = process.communicate(timeout=60)
        assert process.returncode == 0
        told: dict[str, Any] = json.loads(out)
        return told

    def kill_at(self, point: Point) -> None:
        process = self.start(point)
        process.communicate(timeout=60)
        assert process.returncode == -signal.SIGKILL, f"never came to {point.id}"

    def again(self) -> Any:
        """As a client does: while the first seems to run, a moment later."""
        give_up = time.monotonic() + PATIENCE
        client = APIClient()
        while True:
            answer = client.post(self.path, self.body, headers=self.headers)
            if answer.status_code != 409:
                return answer
            assert answer.json()["code"] == "idempotency_key_in_progress"
            assert time.monotonic() < give_up, "the dead still hold the key"
            time.sleep(0.05)


@pytest.fixture
def caller(scene: Scene):
    user = User.objects.create_user("gateway")
    scopes = [Scope.MINT, Scope.SUBMIT]
    _, token = ApiToken.objects.issue(user=user, scopes=scopes, expires_in=None)

    def make(path: str, body: Any = None, **more: str) -> Caller:
        headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": "k", **more}
        return Caller(scene, path, body, headers)

    return make


@pytest.fixture
def mint_all(scene: Scene, caller) -> Caller:
    """A request for all readings of the scene, that waits for a while."""
    ids = [str(reading.id) for reading in scene.readings]
    made: Caller = caller(MINT, {"reading_ids": ids}, Prefer="wait=1")
    return made


@keyed_points(Deed.KILL)
def test_killed_and_sent_again_it_mints_once(scene, mint_all, point):
    mint_all.kill_at(point)
    done = MintBatch.objects.count()
    assert done == IdempotencyKey.objects.count() == (point.number >= EFFECT)

    answer = mint_all.again()

    batch = MintBatch.objects.get()
    assert (answer.status_code, answer.json()["id"]) == (202, str(batch.id))
    scene.start_again()
    scene.check()
    assert mint_all.again().json()["id"] == str(batch.id)
    assert mint_all.again().json()["status"] == "succeeded"
    assert MintBatch.objects.count() == 1


@keyed_points(Deed.LOSE)
def test_a_commit_whose_answer_is_lost_is_read_back(scene, mint_all, point):
    """The process lives, and does not know whether its commit happened: it looks."""
    told = mint_all.answer_of(mint_all.start(point))

    if point.number >= EFFECT:
        assert (told["status"], told["body"]["id"]) == (202, str(MintBatch.objects.get().id))
    else:
        assert (told["status"], told["body"]["code"]) == (503, "database_unavailable")
        assert not MintBatch.objects.exists()
    mint_all.again()
    assert MintBatch.objects.count() == 1
    scene.start_again()
    scene.check()


@keyed_points(Deed.STOP)
def test_a_paused_process_keeps_its_key(mint_all, point):
    """However long it sleeps: no timeout hands its request to another."""
    process = mint_all.start(point)
    try:
        wait_stopped(process)
        answer = APIClient().post(mint_all.path, mint_all.body, headers=mint_all.headers)
        problem(answer, 409, "idempotency_key_in_progress")
        assert answer["Retry-After"] == "1"
        assert not MintBatch.objects.exists()
    finally:
        os.kill(process.pid, signal.SIGCONT)

    told = mint_all.answer_of(process)

    assert told["status"] == 202
    assert mint_all.again().json()["id"] == told["body"]["id"] == str(MintBatch.objects.get().id)


def test_a_database_that_ends_our_session_gives_the_key_back(scene, mint_all):
    """The lock is lost while the chain is asked: the first fails, the second has the effect."""

    def interrupted(session):
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid()")
            ours = cursor.fetchone()[0]
        with ThreadPoolExecutor(1) as thread:
            assert thread.submit(end_session, ours).result()
        return inspect_or_recall(session)

    client = APIClient(raise_request_exception=False)
    with patch("minting.service.requests.prepare.inspect_or_recall", interrupted):
        first = client.post(mint_all.path, mint_all.body, headers=mint_all.headers)

    problem(first, 503, "database_unavailable")
    assert not MintBatch.objects.exists()
    assert mint_all.again().json()["id"] == str(MintBatch.objects.get().id)
    scene.start_again()
    scene.check()


def end_session(pid: int) -> bool:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
            return bool(cursor.fetchone()[0])
    finally:
        connection.close()


COMMITS = [
    point
    for point in KEYED_POINTS
    if point.where.endswith("keep_batch") and point.when is not When.BEFORE
    if point.deed is Deed.KILL
]


@pytest.mark.parametrize("point", COMMITS, ids=lambda point: point.id)
def test_a_retry_that_was_killed_makes_one_batch(scene, caller, point):
    first = scene.queue()
    with transaction.atomic():
        move_results(
            Q(batch=first),
            old={ResultStatus.PENDING},
            new=ResultStatus.FAILED,
            code="node_unreachable",
            reason="No node answered",
        )
    retry = caller(f"/api/v1/mint-batches/{first.id}/retry")

    retry.kill_at(point)
    answers = [retry.again(), retry.again()]

    (made,) = MintBatch.objects.filter(retry_of=first)
    assert {(each.status_code, each.json()["id"]) for each in answers} == {(202, str(made.id))}
    scene.drain()
    assert scene.chain.supply() == sum(int(each.kwh_amount * 10**9) for each in scene.readings)


@pytest.mark.parametrize("point", COMMITS, ids=lambda point: point.id)
def test_a_cancel_that_was_killed_is_done(scene, caller, point):
    batch = scene.queue()
    cancel = caller(f"/api/v1/mint-batches/{batch.id}/cancel")

    cancel.kill_at(point)
    answers = [cancel.again(), cancel.again()]

    assert [each.status_code for each in answers] == [200, 200]
    assert {each.json()["status"] for each in answers} == {"cancelled"}
    scene.drain()
    assert scene.chain.supply() == 0


@keyed_points(Deed.KILL, "keep_answer")
def test_readings_that_were_killed_are_answered_as_new(caller, point):
    meter = MeterFactory()
    items = [
        {
            "meter_serial": meter.serial,
            "kwh_amount": "0.25",
            "period_start": f"2026-11-23T{hour:02}:00:00Z",
            "period_end": f"2026-11-23T{hour:02}:15:00Z",
        }
        for hour in range(3)
    ]
    send = caller("/api/v1/readings", items)
    before = MeterReading.objects.count()

    send.kill_at(point)
    assert MeterReading.objects.count() - before == 3 * (point.number >= EFFECT)
    first, second = send.again(), send.again()

    assert first.content == second.content
    assert (first.status_code, first.json()["created"]) == (200, 3)
    ids = {each["id"] for each in first.json()["results"]}
    assert ids == {str(each.id) for each in MeterReading.objects.filter(meter=meter)}
