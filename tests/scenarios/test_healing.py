"""Whoever of a cluster is killed, and however: work goes on, and nobody is left behind."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.db import OperationalError, connection
from django.db.models import Sum
from django.utils import timezone
from django_q.tasks import async_task

from gridtoken.embedded.faults import FaultPlan
from minting.journal.parking import MAX_DEATHS
from minting.models import BatchSource, MintBatch, MintResult, MintSlice, MintTransaction
from minting.service.requests.prepare import request_batch
from minting.service.watch import worker_health
from tests.factories.readings import MeterReadingFactory
from tests.gridtoken.proc import is_alive, proc
from tests.minting.conftest import MintingChain, minting_chain
from tests.scenarios.clusters import QueueCluster, until

__all__ = ["minting_chain"]

pytestmark = pytest.mark.django_db(transaction=True)

NOTHING_LANDS = FaultPlan(block_capacity=0)
NO_NODE_ANSWERS = FaultPlan(unavailable=1.0)

BOUND = 25.0
"""Seconds within which a cluster that was told to stop has stopped."""

Start = Callable[..., QueueCluster]


@pytest.fixture
def start(minting_chain, child_environment, tmp_path: Path) -> Iterator[Start]:
    """Starts clusters, of two workers unless told; none of them survives the test."""
    environment = {
        **child_environment,
        "SOLANA_RPC_URL": minting_chain.net.url,
        "MINT_AUTHORITY_KEYPAIR": str(minting_chain.keypair_file),
        "ENERGY_TOKEN_MINT": str(minting_chain.mint),
        "MINT_JOURNAL_DIR": str(tmp_path / "journal"),
    }
    started: list[QueueCluster] = []

    def start_one(*, workers: int = 2) -> QueueCluster:
        log = tmp_path / f"cluster-{len(started)}.log"
        started.append(QueueCluster({**environment, "Q_WORKERS": str(workers)}, log))
        return started[-1]

    yield start_one
    minting_chain.net.faults = FaultPlan()
    for cluster in started:
        cluster.end()


def order(readings: int) -> MintBatch:
    ids = [MeterReadingFactory().id for _ in range(readings)]
    return request_batch(ids, source=BatchSource.CLI, strict=True)


def until_minted(cluster: QueueCluster, *batches: MintBatch) -> None:
    left = MintBatch.objects.filter(id__in=[batch.id for batch in batches])
    until(lambda: not left.exclude(status="succeeded").exists(), cluster.words)


def until_gone(cluster: QueueCluster, pids: set[int]) -> None:
    until(lambda: not any(map(is_alive, pids)), cluster.words, 15)


def in_flight() -> bool:
    return MintTransaction.objects.filter(status__in=("signed", "sent")).exists()


def assert_all_minted_once(chain: MintingChain) -> None:
    assert not MintResult.objects.exclude(success=True).exists()
    assert chain.supply() == MintResult.objects.aggregate(sum=Sum("base_units"))["sum"]


def stop(cluster: QueueCluster, *, group: bool = False) -> None:
    """Told to stop, it stops, and takes everybody along."""
    if group:
        os.killpg(cluster.pid, signal.SIGTERM)
    else:
        os.kill(cluster.pid, signal.SIGTERM)
    assert cluster.process.wait(BOUND) == 0, cluster.words()
    assert not cluster.processes(), cluster.words()
    assert not MintSlice.objects.filter(status="running").exists()
    assert cluster.pid not in shown(), "who stopped is not missed"


def shown() -> dict[int, int]:
    """Clusters on the dashboard: the process, and its workers."""
    seen = worker_health.look().clusters
    return {int(each.name.rpartition(":")[2]): each.workers for each in seen}


@pytest.mark.parametrize("role", ["idle worker", "busy worker", "sentinel", "pusher", "monitor"])
def test_work_goes_on_after_any_member_is_killed(minting_chain, start, role):
    cluster = start()
    for signum in (signal.SIGKILL, signal.SIGTERM):
        minting_chain.net.faults = NOTHING_LANDS
        before = order(12)
        until(in_flight, cluster.words)
        victim = cluster.member(role)
        old = cluster.processes() - {cluster.pid}

        os.kill(victim, signum)
        after = order(6)
        minting_chain.net.faults = FaultPlan()
        until_minted(cluster, before, after)

        until_gone(cluster, {victim})
        until_gone(cluster, old)
        for pid in cluster.processes() - {cluster.pid}:
            sentinel = cluster.member("sentinel")
            assert pid == sentinel or cluster.parent_of(pid) == sentinel
            assert b"qcluster" in proc(Path(f"/proc/{pid}/cmdline"))
    assert_all_minted_once(minting_chain)
    assert not MintSlice.objects.exclude(deaths=0).exists()
    stop(cluster)


@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGTERM])
def test_a_cluster_goes_on_whose_only_worker_was_killed_idle(minting_chain, start, signum):
    """It died with the queue's read lock in its hands."""
    cluster = start(workers=1)
    victim = cluster.member("only worker")

    os.kill(victim, signum)
    batch = order(3)
    until_minted(cluster, batch)

    assert cluster.member("only worker") != victim
    assert_all_minted_once(minting_chain)
    stop(cluster)


@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGTERM])
def test_another_cluster_goes_on_where_a_whole_cluster_ended(minting_chain, start, signum):
    """Nobody of it lives to hand back what it held, or all of it is told to end at once."""
    minting_chain.net.faults = NOTHING_LANDS
    batch = order(12)
    ended = start()
    until(in_flight, ended.words)
    ended.member("busy worker")
    other = start()
    other.member("monitor")

    os.killpg(ended.pid, signum)
    ended.process.wait(BOUND)
    until(lambda: not ended.processes(), ended.words, BOUND)
    minting_chain.net.faults = FaultPlan()
    until_minted(other, batch)

    assert_all_minted_once(minting_chain)
    stop(other)


@pytest.mark.parametrize("group", [False, True])
def test_a_cluster_without_work_stops_when_told(minting_chain, start, group):
    cluster = start()
    cluster.member("monitor")
    until(lambda: shown() == {cluster.pid: 2}, lambda: f"{shown()}\n{cluster.words()}")

    stop(cluster, group=group)


@pytest.fixture
def durable(transactional_db) -> Iterator[None]:
    """The session's server answers commits before they are written; here it does not."""
    name = connection.ops.quote_name(connection.settings_dict["NAME"])
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER DATABASE {name} SET synchronous_commit = on")
    connection.close()  # the next one has it
    yield
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER DATABASE {name} RESET synchronous_commit")
    connection.close()


def test_a_database_that_restarts_in_the_middle(durable, minting_chain, start):
    """As after a crash: connections break, commits may be lost, nothing is minted twice."""
    minting_chain.net.faults = NOTHING_LANDS
    before = order(12)
    cluster = start()
    until(in_flight, cluster.words)

    restart_database()
    after = order(6)
    minting_chain.net.faults = FaultPlan()
    until_minted(cluster, before, after)

    assert_all_minted_once(minting_chain)
    stop(cluster)


def restart_database() -> None:
    """Immediate shutdown of the session's own server; its keeper starts it again."""
    with connection.cursor() as cursor:
        cursor.execute("SHOW data_directory")
        (folder,) = cursor.fetchone()
    pid = int((Path(folder) / "postmaster.pid").read_text().split()[0])
    connection.close()
    os.kill(pid, signal.SIGQUIT)
    until(lambda: not is_alive(pid))
    until(_answers)


def _answers() -> bool:
    try:
        connection.ensure_connection()
    except OperationalError:
        return False
    return True


def test_a_cluster_that_takes_no_tasks_is_replaced(minting_chain, start):
    cluster = start()
    cluster.member("monitor")
    wedged = cluster.member("sentinel")
    # Alive, so that nothing but the work that waits tells that something is wrong.
    os.kill(cluster.member("pusher"), signal.SIGSTOP)

    batch = order(3)
    until_minted(cluster, batch)

    assert "tasks wait, and an idle worker takes none" in cluster.words()
    assert cluster.member("sentinel") != wedged
    stop(cluster)


def test_a_worker_that_ends_in_order_is_put_back_alone(minting_chain, start):
    cluster = start()
    sentinel = cluster.member("sentinel")
    async_task("sys.exit")
    until(lambda: cluster.words().count("ready for work") == 3, cluster.words)

    batch = order(3)
    until_minted(cluster, batch)
    assert cluster.member("sentinel") == sentinel
    stop(cluster)


@pytest.mark.parametrize("how", ["killed", "told", "told with its group"])
def test_a_parent_takes_all_along_and_the_next_one_goes_on(minting_chain, start, how):
    minting_chain.net.faults = NOTHING_LANDS
    batch = order(12)
    cluster = start()
    until(in_flight, cluster.words)
    cluster.member("busy worker")

    if how == "killed":
        os.kill(cluster.pid, signal.SIGKILL)
        cluster.process.wait()
        until(lambda: not cluster.processes(), cluster.words, 15)
    else:
        stop(cluster, group=how == "told with its group")
    minting_chain.net.faults = FaultPlan()
    following = start()
    until_minted(following, batch)

    assert_all_minted_once(minting_chain)
    stop(following)


def test_what_workers_die_of_is_parked_and_its_neighbours_are_minted(minting_chain, start):
    minting_chain.net.faults = NO_NODE_ANSWERS
    poison = order(3)
    cluster = start()
    for deaths in range(1, MAX_DEATHS + 1):
        os.kill(cluster.member("busy worker"), signal.SIGKILL)
        until(MintSlice.objects.filter(deaths=deaths).exists, cluster.words)

    parked = MintSlice.objects.get()
    assert (parked.status, parked.claim) == ("queued", None)
    assert MintSlice.objects.parked().exists()
    assert "5 workers failed one after another" in parked.parked_reason
    assert "SIGKILL" in parked.parked_reason

    minting_chain.net.faults = FaultPlan()
    neighbour = order(3)
    until_minted(cluster, neighbour)
    assert MintBatch.objects.get(id=poison.id).status == "running"

    MintSlice.objects.filter(batch=poison).update(parked_until=timezone.now())
    until_minted(cluster, poison)
    parked.refresh_from_db()
    assert (parked.deaths, parked.parked_until, parked.parked_reason) == (0, None, "")
    assert_all_minted_once(minting_chain)
    stop(cluster)
