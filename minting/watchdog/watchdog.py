"""``manage.py qcluster`` itself: starts the cluster, watches it, ends it, starts it again."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from multiprocessing.process import BaseProcess
from types import FrameType

import structlog
from django.db import Error as DatabaseError
from django.db import close_old_connections, connections
from django_q.conf import Conf
from redis import RedisError

from minting import conf
from minting.service.drive import upkeep
from minting.service.drive.upkeep import Fallen, QueueWatch
from minting.service.polling import book
from minting.service.watch import worker_health
from minting.watchdog import processes
from minting.watchdog.board import Board
from minting.watchdog.sentinel import HAND_OVER, LONGEST_STOP, run_sentinel
from minting.webhooks.upkeep import call_if_unattended

log = structlog.get_logger(__name__)

LOOK = 0.2
"""Seconds between two looks at the sentinel."""

LOOK_AT_POLLING = 1.0
"""Seconds between two looks whether a poll is due, where this cluster polls."""

LOOK_AT_TABLES = 5.0
"""Seconds between two looks at what waits in the tables: a lost nudge costs no more."""

WEDGED = 20.0
"""Seconds for which a task may wait in the queue while a worker is idle."""

SILENT = 60.0
"""Seconds without a sign of the sentinel; an outage of the database may cost it half of that."""

FIRST_PAUSE, LONGEST_PAUSE = 0.25, 2.0
"""Seconds before a cluster is started again; doubled each time until one lived for ``STEADY``."""

STEADY = 30.0


@dataclass(frozen=True, slots=True)
class Cluster:
    """A sentinel and what it forked."""

    sentinel: BaseProcess
    board: Board
    started: float
    """``time.monotonic()``."""


class Watchdog:
    """Keeps one cluster going until it is told to stop."""

    def __init__(self) -> None:
        self._stopping = False
        self._pause = FIRST_PAUSE
        self._began = datetime.now(UTC)
        self._unreleased: set[int] = set()
        """Workers that are gone, and the tables were too."""

    def listen(self) -> None:
        """From here on SIGTERM and SIGINT are requests to stop."""
        for signum in (signal.SIGTERM, signal.SIGINT):
            signal.signal(signum, self._ask_to_stop)

    def run(self) -> None:
        """Returns when it was told to stop and nothing of the cluster is left."""
        processes.adopt_orphans()
        while not self._stopping:
            cluster = self._start()
            trouble = ""
            try:
                trouble = self._watch(cluster)
            finally:
                self._end(cluster)
            if trouble:
                log.error("cluster_ended", reason=trouble, lived=round(_age(cluster), 1))
                self._rest(cluster)
        self._leave()
        log.info("cluster_stopped")

    def _ask_to_stop(self, _signum: int, _frame: FrameType | None) -> None:
        self._stopping = True

    def _start(self) -> Cluster:
        # A connection that two processes share gives each the other's answers.
        connections.close_all()
        board = Board(Conf.WORKERS)
        sentinel = multiprocessing.get_context("fork").Process(
            target=run_sentinel, args=(board, os.getpid()), name="sentinel"
        )
        with processes.terms_held():
            sentinel.start()
        cluster = Cluster(sentinel, board, time.monotonic())
        log.info("cluster_started", sentinel=sentinel.pid, workers=Conf.WORKERS)
        return cluster

    def _watch(self, cluster: Cluster) -> str:
        """Returns what is wrong, once something is; nothing when told to stop."""
        tables_at = polling_at = 0.0
        queue = QueueWatch()
        while not self._stopping:
            if not cluster.sentinel.is_alive():
                return f"the sentinel ended with code {cluster.sentinel.exitcode}"
            if cluster.board.silence > SILENT:
                return "the sentinel does not answer"
            if time.monotonic() >= tables_at:
                self._release_belated(cluster)
                if _is_wedged(cluster, queue):
                    return "tasks wait, and an idle worker takes none"
                self._show_life(cluster)
                tables_at = time.monotonic() + LOOK_AT_TABLES
            if time.monotonic() >= polling_at:
                _see_to_polling()
                polling_at = time.monotonic() + LOOK_AT_POLLING
            time.sleep(LOOK)
        return ""

    def _show_life(self, cluster: Cluster) -> None:
        """For the dashboard: who works here."""
        policy = conf.polling_policy()
        try:
            worker_health.report(
                os.getpid(),
                workers=len(cluster.board.workers),
                started_at=self._began,
                polls_every=policy.interval if policy.enabled else None,
            )
        except DatabaseError as error:
            log.warning("life_not_shown", reason=str(error).strip())

    def _leave(self) -> None:
        try:
            close_old_connections()
            worker_health.leave(os.getpid())
        except DatabaseError as error:
            # It will be shown as gone, which it is.
            log.warning("life_not_shown", reason=str(error).strip())

    def _end(self, cluster: Cluster) -> None:
        """Leaves no process of the cluster, and nothing claimed by one."""
        board = cluster.board
        if cluster.sentinel.is_alive() and board.silence <= SILENT:
            cluster.sentinel.terminate()
            cluster.sentinel.join(LONGEST_STOP)
        cluster.sentinel.kill()
        cluster.sentinel.join(processes.AFTER_KILL)
        # Where the kernel tells children of their parent's end, workers hand over already.
        processes.send(board.workers, signal.SIGTERM)
        left = processes.end(board.members, HAND_OVER + 1)
        if left:
            log.error("processes_left", pids=sorted(left))
        gone = [pid for pid in board.workers if pid not in left]
        self._release(gone, _fallen(board))

    def _release(self, gone: Collection[int], fallen: Fallen | None = None) -> None:
        """Frees what they held, now or when the tables are there again."""
        try:
            close_old_connections()
            upkeep.release_the_dead(gone, fallen)
        except DatabaseError as error:
            # Where this process ends before, their leases run out by themselves.
            self._unreleased.update(gone)
            log.warning("slices_not_released", reason=str(error).strip())

    def _release_belated(self, cluster: Cluster) -> None:
        """Who died with the database; whoever has such a number by now may live."""
        belated = self._unreleased - set(cluster.board.workers)
        self._unreleased.clear()
        if belated:
            self._release(belated)

    def _rest(self, cluster: Cluster) -> None:
        """A pause that grows while clusters do not live."""
        self._pause = FIRST_PAUSE if _age(cluster) > STEADY else min(2 * self._pause, LONGEST_PAUSE)
        until = time.monotonic() + self._pause
        while time.monotonic() < until and not self._stopping:
            time.sleep(LOOK)


def _is_wedged(cluster: Cluster, queue: QueueWatch) -> bool:
    """Calls a worker for what waits unattended; a call that no idle worker takes is a wedge."""
    try:
        close_old_connections()
        untaken = queue.untaken(timedelta(seconds=WEDGED))
        if untaken and cluster.board.idleness > WEDGED:
            return True
        if upkeep.call_if_unattended():
            log.info("worker_called")
        if call_if_unattended():
            log.debug("courier_called")
    except DatabaseError as error:
        # Without the tables there is nothing to do for anybody; asked again soon.
        log.warning("tables_not_seen", reason=str(error).strip())
    except RedisError as error:
        # Called again once it is back.
        log.warning("broker_away", reason=str(error))
    return False


def _see_to_polling() -> None:
    """Calls a worker when a poll is due: the queue's own clock knows no less than a minute."""
    policy = conf.polling_policy()
    if not policy.enabled:
        return
    try:
        close_old_connections()
        book.call_if_due(policy)
    except DatabaseError as error:
        log.warning("tables_not_seen", reason=str(error).strip())


def _fallen(board: Board) -> Fallen | None:
    if board.fallen is None:
        return None
    pid, code = board.fallen
    if code < 0:
        return Fallen(pid, f"was ended by {signal.Signals(-code).name}")
    return Fallen(pid, f"ended with code {code}")


def _age(cluster: Cluster) -> float:
    return time.monotonic() - cluster.started
