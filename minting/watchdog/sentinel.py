"""The parent of workers, pusher and monitor: notices what happens to them, and tells.

In place of django-q2's own sentinel (1.11.1), which puts a new worker where one was killed although
the dead may hold the queue's read lock (then nothing runs any more), waits without end when it is
to stop, and leaves orphans that go on working when it dies. The processes run django-q2's code.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from multiprocessing.process import BaseProcess
from types import FrameType
from typing import Any

import structlog
from django.db import Error as DatabaseError
from django.db import close_old_connections, connections
from django_q.brokers import get_broker
from django_q.conf import Conf
from django_q.monitor import monitor
from django_q.pusher import pusher
from django_q.queues import Queue
from django_q.scheduler import scheduler
from django_q.worker import worker

from minting import schedules
from minting.monitoring import publishing
from minting.service.chain.session import keep_sessions
from minting.watchdog import processes
from minting.watchdog.board import FIRST_WORKER, MONITOR, PUSHER, Board
from minting.watchdog.clock import ClockWatch

log = structlog.get_logger(__name__)

NOT_TRUSTED = 3
"""Exit code: this cluster has to be started again."""

ASKED = 143
"""Exit code of a worker that ended because it was told to."""

DRAIN = 5.0
"""Seconds for which tasks may still run to their end once the cluster is to stop."""

HAND_OVER = 8.0
"""Seconds that a worker has to hand back what it holds; then it ends anyhow."""

SETTLE = 1.0
"""Seconds for the monitor to note the last results."""

LONGEST_STOP = DRAIN + HAND_OVER + SETTLE + processes.AFTER_KILL
"""Seconds after which nothing of a cluster is left that was told to stop."""

ALONE = 0.3
"""Seconds after a death in which another makes it one of several."""

STUCK = 10.0
"""Seconds for which a task may lie before an idle worker, or a worker be over its time."""

SCHEDULES_EVERY = 10.0
"""Seconds between two looks at what is due; the first is at once, however short we live."""

_IDLE, _OVER = -1.0, 0.0
"""Of django-q2's timers; a positive one is the time that the worker's task has left."""

_fork = multiprocessing.get_context("fork")


class Role(StrEnum):
    """What a member of the cluster does."""

    WORKER = "worker"
    PUSHER = "pusher"
    MONITOR = "monitor"


@dataclass(slots=True)
class Member:
    """One process."""

    role: Role
    place: int
    process: BaseProcess
    pid: int
    timer: Any
    over_since: float | None = None
    """When its task was first seen to be over its time."""

    @property
    def exit_code(self) -> int | None:
        """None while it lives, negative by a signal."""
        return self.process.exitcode

    @property
    def is_idle(self) -> bool:
        """Whether it has no task; read without the lock, which the dead may hold."""
        return bool(self.timer.get_obj().value == _IDLE)


class Sentinel:
    """One cluster, from its start to its end."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self._broker = get_broker()
        self._tasks = Queue(maxsize=Conf.QUEUE_LIMIT)
        self._results = Queue()
        self._members: dict[int, Member] = {}
        self._stopping = False
        self._schedules_at = 0.0
        self._clock = ClockWatch()
        self._idle_since: float | None = None
        self._stuck_since: float | None = None

    def ask_to_stop(self, _signum: int = 0, _frame: FrameType | None = None) -> None:
        """The handler of SIGTERM: notes it, so that it may come at any moment."""
        self._stopping = True

    def run(self) -> int:
        """Guards until told to stop, or until the cluster cannot be trusted; the exit code."""
        for number in range(Conf.WORKERS):
            self._spawn(Role.WORKER, FIRST_WORKER + number)
        self._spawn(Role.MONITOR, MONITOR)
        self._spawn(Role.PUSHER, PUSHER)
        while not self._stopping:
            self._board.note(idle_since=self._idle_since)
            trouble = self._find_trouble()
            if trouble and not self._stopping:
                log.error("cluster_not_trusted", reason=trouble)
                self._end(drain=0.0)
                return NOT_TRUSTED
            self._see_to_schedules()
            time.sleep(Conf.GUARD_CYCLE)
        self._end(drain=DRAIN)
        return 0

    def _spawn(self, role: Role, place: int) -> None:
        # A connection that two processes share gives each the other's answers.
        connections.close_all()
        timer = _fork.Value("f", _IDLE)
        targets: dict[Role, tuple[Callable[..., None], tuple[Any, ...]]] = {
            Role.WORKER: (_work, (self._tasks, self._results, timer)),
            Role.PUSHER: (_serve, (pusher, self._tasks, _fork.Event(), self._broker)),
            Role.MONITOR: (_serve, (monitor, self._results, self._broker)),
        }
        target, arguments = targets[role]
        name = f"worker-{place - FIRST_WORKER + 1}" if role is Role.WORKER else role.value
        process = _fork.Process(target=target, args=(os.getpid(), *arguments), name=name)
        process.daemon = True
        with processes.terms_held():
            process.start()
        pid = process.pid or 0  # started, it has one
        self._members[place] = Member(role, place, process, pid, timer)
        self._board.place(place, pid)

    def _find_trouble(self) -> str:
        """What makes the cluster as a whole untrustworthy, if anything does."""
        dead = [member for member in self._members.values() if member.exit_code]
        if dead:
            self._tell_of_a_death_alone()
            names = ", ".join(f"{each.process.name} ({each.pid})" for each in dead)
            return f"ended unexpectedly: {names}"
        for member in list(self._members.values()):
            if member.exit_code == 0:  # recycled, out of time, or the database went away
                self._spawn(member.role, member.place)
        workers = [each for each in self._members.values() if each.role is Role.WORKER]
        now = time.monotonic()
        for member in workers:
            if self._is_stuck(member, now):
                return f"{member.process.name} ({member.pid}) does not end its task"
        idle = any(member.is_idle for member in workers)
        self._idle_since = (self._idle_since or now) if idle else None
        lying = self._count(self._tasks) > 0
        self._stuck_since = (self._stuck_since or now) if idle and lying else None
        if self._stuck_since and now - self._stuck_since > STUCK:
            return "a task lies before an idle worker"
        return ""

    def _tell_of_a_death_alone(self) -> None:
        """One worker, by itself, is a death that may be its work's fault."""
        time.sleep(ALONE)
        ended = [member for member in self._members.values() if member.exit_code is not None]
        if len(ended) != 1 or ended[0].role is not Role.WORKER:
            return
        code = ended[0].exit_code or 0
        if code not in (ASKED, -signal.SIGTERM):
            self._board.fell(ended[0].pid, code)

    def _is_stuck(self, member: Member, now: float) -> bool:
        """Counts its time down, as django-q2's guard does; its own alarm comes first."""
        lock = member.timer.get_lock()
        # A worker holds this for the moment in which it hands in a result.
        if lock.acquire(timeout=Conf.GUARD_CYCLE):
            try:
                if member.timer.value > _OVER:
                    member.timer.value = max(member.timer.value - Conf.GUARD_CYCLE, _OVER)
                over = member.timer.value == _OVER
            finally:
                lock.release()
        else:
            over = True
        member.over_since = (member.over_since or now) if over else None
        return member.over_since is not None and now - member.over_since > STUCK

    @staticmethod
    def _count(queue: Any) -> int:
        """Read without its lock, which the dead may hold."""
        return int(queue.size.count.get_obj().value)

    def _see_to_schedules(self) -> None:
        if time.monotonic() >= self._schedules_at:
            if self._clock.dates_may_be_wrong():
                _pull_back()
            scheduler(broker=self._broker)
            self._schedules_at = time.monotonic() + SCHEDULES_EVERY

    def _end(self, *, drain: float) -> None:
        """Ends all members by signals, in the order of the work; bounded, whatever they do."""
        self._signal(signal.SIGTERM, self._living(Role.PUSHER))
        give_up = time.monotonic() + drain
        told: set[int] = set()
        while time.monotonic() < give_up:
            idle = [member for member in self._living(Role.WORKER) if member.is_idle]
            self._signal(signal.SIGTERM, [member for member in idle if member.pid not in told])
            told |= {member.pid for member in idle}
            if all(member.pid in told for member in self._living(Role.WORKER)):
                break
            time.sleep(processes.POLL)
        self._signal(signal.SIGTERM, self._living(Role.WORKER))
        self._wait(HAND_OVER + 1, Role.WORKER)
        give_up = time.monotonic() + SETTLE
        while drain and self._count(self._results) > 0 and time.monotonic() < give_up:
            time.sleep(processes.POLL)
        self._signal(signal.SIGTERM, self._living(Role.MONITOR))
        self._wait(SETTLE, *Role)
        self._signal(signal.SIGKILL, self._living(*Role))
        self._wait(processes.AFTER_KILL, *Role)

    def _living(self, *roles: Role) -> list[Member]:
        return [
            member
            for member in self._members.values()
            if member.role in roles and member.exit_code is None
        ]

    @staticmethod
    def _signal(signum: signal.Signals, members: Iterable[Member]) -> None:
        for member in members:
            # Not reaped since it was seen living: the id is still its own.
            os.kill(member.pid, signum)

    def _wait(self, seconds: float, *roles: Role) -> None:
        give_up = time.monotonic() + seconds
        while self._living(*roles) and time.monotonic() < give_up:
            time.sleep(processes.POLL)


def _pull_back() -> None:
    try:
        close_old_connections()
        schedules.pull_back()
    except DatabaseError as error:
        # Looked at again; the scheduler next to us does nothing without tables either.
        log.warning("tables_not_seen", reason=str(error).strip())


def run_sentinel(board: Board, parent: int) -> None:
    """What the forked process does."""
    sentinel = Sentinel(board)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C is for the watchdog
    signal.signal(signal.SIGTERM, sentinel.ask_to_stop)
    processes.end_with_parent(parent, signal.SIGKILL)
    processes.take_terms()
    sys.exit(sentinel.run())


def _serve(parent: int, target: Callable[..., None], *arguments: Any) -> None:
    """Pusher or monitor: nothing of theirs needs an orderly end, for tasks are only nudges."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    processes.end_with_parent(parent, signal.SIGKILL)
    processes.take_terms()
    target(*arguments)


def _work(parent: int, tasks: Queue, results: Queue, timer: Any) -> None:
    """A worker, told to end when its parent does: it hands back what it holds."""
    signal.signal(signal.SIGTERM, _hand_over)
    processes.end_with_parent(parent, signal.SIGTERM)
    processes.take_terms()
    keep_sessions()
    publishing.begin()
    worker(tasks, results, timer, Conf.TIMEOUT)


def _hand_over(_signum: int, _frame: FrameType | None) -> None:
    """Ends the task wherever it is; its ``finally`` hands slices back, an idle one lets go."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    bound = threading.Timer(HAND_OVER, os._exit, [ASKED])
    bound.daemon = True
    bound.start()
    raise SystemExit(ASKED)
