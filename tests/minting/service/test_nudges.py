"""Calling workers through Redis: after the commit, and never at the cost of what was asked."""

from __future__ import annotations

import os
import signal
import time
from datetime import timedelta

import pytest
from django.db import transaction
from django_q.brokers import get_broker
from django_q.conf import Conf
from django_q.models import OrmQ
from django_q.signing import SignedPackage

from gridtoken.broker import ANSWER
from minting.api import health
from minting.models import MintBatch
from minting.service import nudges
from minting.service.drive import upkeep
from tests.factories.readings import MeterReadingFactory
from tests.minting.admin.journal import open_batch
from tests.minting.api.conftest import machine, minter
from tests.minting.conftest import minting_chain
from tests.redis_server import RedisServer, needs_redis, redis_queue, redis_server

__all__ = ["machine", "minter", "minting_chain", "redis_queue", "redis_server"]

pytestmark = [pytest.mark.django_db(transaction=True), needs_redis]


def queued() -> list[str]:
    broker = get_broker()
    found = broker.connection.lrange(broker.list_key, 0, -1)
    return [SignedPackage.loads(task)["func"] for task in found]


def test_redis_is_told_after_the_commit_and_not_of_what_was_rolled_back(redis_queue: RedisServer):
    with transaction.atomic():
        nudges.nudge(2)
        assert queued() == []
    assert queued() == [nudges.LOOK] * 2

    with transaction.atomic():
        nudges.nudge()
        transaction.set_rollback(True)
    assert len(queued()) == 2
    assert not OrmQ.objects.exists()


def test_a_batch_is_taken_though_redis_is_down(minting_chain, redis_queue, minter, caplog):
    reading = MeterReadingFactory()
    redis_queue.kill()

    answer = minter.post("/api/v1/mint-batch", {"reading_ids": [str(reading.id)]}, format="json")

    assert answer.status_code == 202
    assert MintBatch.objects.get().status == "queued"
    assert "nudge_lost" in caplog.text
    redis_queue.start()
    assert upkeep.call_if_unattended()
    assert queued() == [nudges.LOOK]
    assert not upkeep.call_if_unattended()


def test_a_redis_that_hangs_delays_a_request_by_its_bound_once(redis_queue, caplog):
    get_broker().queue_size()  # connected
    os.kill(redis_queue.process.pid, signal.SIGSTOP)
    begun = time.monotonic()
    try:
        with transaction.atomic():
            nudges.nudge(4)
    finally:
        os.kill(redis_queue.process.pid, signal.SIGCONT)
    assert time.monotonic() - begun < ANSWER + 1
    assert "nudge_lost" in caplog.text


def test_ready_tells_of_a_redis_that_is_away(client, chain, redis_queue):
    health._silent.forget()
    assert client.get("/readyz").status_code == 200
    redis_queue.kill()
    health._silent.forget()
    response = client.get("/readyz")
    assert (response.status_code, response.json()["unavailable"]) == (503, ["broker"])


def test_a_task_that_lies_in_redis_is_noticed(redis_queue):
    queue = upkeep.QueueWatch()
    bound = timedelta(seconds=0.2)
    assert not queue.untaken(bound)
    open_batch()
    assert upkeep.call_if_unattended()
    assert not queue.untaken(bound)
    time.sleep(0.3)
    assert queue.untaken(bound)
    # Another one in front: somebody took the first.
    nudges.nudge()
    get_broker().dequeue()
    assert not queue.untaken(bound)
    get_broker().dequeue()
    time.sleep(0.3)
    assert not queue.untaken(bound)


def test_a_pusher_outlives_its_server(redis_queue):
    broker = get_broker()
    redis_queue.kill()
    assert broker.dequeue() is None
    redis_queue.start()
    nudges.nudge()
    [(acknowledge, task)] = broker.dequeue()
    assert acknowledge is None
    assert SignedPackage.loads(task)["func"] == nudges.LOOK


def test_no_message_shows_the_password(redis_queue, monkeypatch, caplog):
    monkeypatch.setattr(Conf, "REDIS", redis_queue.url.replace("//", "//user:hunter2@"))
    nudges.nudge()
    assert "nudge_lost" in caplog.text
    assert "hunter2" not in caplog.text
