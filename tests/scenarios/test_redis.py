"""The queue in Redis: it forgets and dies, and everything is minted once all the same."""

from __future__ import annotations

import os
import signal
import time
from datetime import timedelta

import pytest
from django.utils import timezone
from django_q.brokers import get_broker
from django_q.models import OrmQ

from gridtoken.embedded.faults import FaultPlan
from minting.models import MintSlice
from minting.service.watch import worker_health
from tests.gridtoken.proc import is_alive
from tests.minting.conftest import minting_chain
from tests.redis_server import RedisServer, needs_redis, redis_queue, redis_server
from tests.scenarios.clusters import QueueCluster, until
from tests.scenarios.test_healing import (
    NOTHING_LANDS,
    assert_all_minted_once,
    in_flight,
    order,
    start,
    stop,
    until_minted,
)

__all__ = ["minting_chain", "redis_queue", "redis_server", "start"]

pytestmark = [pytest.mark.django_db(transaction=True), needs_redis]


@pytest.fixture
def child_environment(
    child_environment: dict[str, str], redis_queue: RedisServer
) -> dict[str, str]:
    """Clusters queue in Redis, as this process does."""
    return {**child_environment, "Q_BROKER_URL": redis_queue.url}


def until_quiet(cluster: QueueCluster) -> None:
    until(lambda: not get_broker().queue_size(), cluster.words)
    said = ""
    while said != (said := cluster.words()):
        time.sleep(2)


def test_a_batch_goes_through_redis(minting_chain, start):
    batch = order(50)
    assert get_broker().info().startswith("Redis")
    queue = worker_health.look().queue
    assert (queue.broker, queue.depth) == ("Redis", 1)
    assert queue.oldest_at is not None
    assert timezone.now() - queue.oldest_at < timedelta(minutes=1)
    cluster = start()
    until_minted(cluster, batch)
    assert_all_minted_once(minting_chain)
    until(lambda: not get_broker().queue_size(), cluster.words)
    assert not OrmQ.objects.exists()
    stop(cluster)


def test_a_queue_that_is_lost_loses_no_work(minting_chain, start, redis_queue):
    cluster = start()
    minting_chain.net.faults = NOTHING_LANDS
    before = order(12)
    until(in_flight, cluster.words)

    forgotten = order(3)
    redis_queue.forget()
    assert not get_broker().queue_size()
    redis_queue.kill()
    meanwhile = order(3)
    minting_chain.net.faults = FaultPlan()
    until(lambda: "broker_away" in cluster.words(), cluster.words)
    redis_queue.start()
    after = order(3)
    until_minted(cluster, before, forgotten, meanwhile, after)

    assert_all_minted_once(minting_chain)
    stop(cluster)


@pytest.mark.parametrize("role", ["busy worker", "idle worker", "pusher"])
def test_work_goes_on_after_a_member_is_killed(minting_chain, start, role):
    cluster = start()
    minting_chain.net.faults = NOTHING_LANDS
    before = order(12)
    until(in_flight, cluster.words)
    victim = cluster.member(role)

    os.kill(victim, signal.SIGKILL)
    after = order(6)
    minting_chain.net.faults = FaultPlan()
    until_minted(cluster, before, after)

    until(lambda: not is_alive(victim), cluster.words)
    assert_all_minted_once(minting_chain)
    assert not MintSlice.objects.exclude(deaths=0).exists()
    stop(cluster)


def test_a_cluster_that_takes_no_tasks_is_replaced(minting_chain, start):
    cluster = start()
    cluster.member("monitor")
    until_quiet(cluster)  # what is due at its start might mint by the way
    wedged = cluster.member("sentinel")
    os.kill(cluster.member("pusher"), signal.SIGSTOP)

    batch = order(3)
    until_minted(cluster, batch)

    assert "tasks wait, and an idle worker takes none" in cluster.words()
    assert cluster.member("sentinel") != wedged
    stop(cluster)
