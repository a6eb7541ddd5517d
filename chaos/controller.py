"""Breaks what it can while readings are minted, then lets the system come to rest."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

from django.db import InterfaceError, OperationalError, connection
from django.db.models import Count, Sum
from django.utils import timezone

from chaos.schedule import DEEPEST_FORK, KILLS, Event, Kind
from gridtoken.processes import Child, ProcessError
from minting.engine.errors import BlockchainError
from minting.models import MintResult, MintSlice, MintTransaction
from minting.service.drive.recover import nudge_if_waiting
from minting.tasks import sweep
from readings.models import MeterReading
from stage.chain import ChainError
from stage.servers import Stage

T = TypeVar("T")

STEP = 0.25
"""Seconds between two looks at the clock."""
TELL_EVERY = 15.0
HURRY_EVERY = 5.0
"""Seconds between two looks for slices whose worker is dead, which else wait for their lease."""
STANDSTILL = 25.0
"""Seconds without anything moving after which the controller starts the clusters again itself."""
ORPHANS_LIVE = 8.0
"""Seconds that the orphans of a dead main process go on working beside its successor."""
UP_WITHIN = 60.0
"""Seconds that a kill waits for a cluster to be up."""
DATABASE_BACK = 60.0
"""Seconds to wait for the database to answer the controller again."""
READINGS_A_BATCH = 250
SIGNALS = {
    Kind.KILL: signal.SIGKILL,
    Kind.TERMINATE: signal.SIGTERM,
    Kind.KILL_MAIN: signal.SIGKILL,
    Kind.TERMINATE_MAIN: signal.SIGTERM,
    Kind.KILL_CLUSTER: signal.SIGKILL,
    Kind.TERMINATE_CLUSTER: signal.SIGTERM,
    Kind.PAUSE: signal.SIGSTOP,
}


@dataclass
class Cluster:
    """One ``manage.py qcluster``, whatever generation of it."""

    name: str
    main: Child
    started: int = 1
    orphans_until: float | None = None


@dataclass
class Controller:
    """One run."""

    stage: Stage
    events: Sequence[Event]
    readings: Sequence[UUID]
    """In the order in which they are to be minted."""
    clusters: int
    end: float
    """Seconds after the start over which readings are queued."""
    cap: float
    """Seconds after which the run is given up."""
    hands_off: bool = False
    """Whether the product alone has to heal; else leases of the dead end early, waiting work is
    called for, and clusters that stand still are started again."""
    done: Counter[str] = field(default_factory=Counter)
    """What was done, by its name."""
    reconciled: str = ""
    """What ``manage.py reconcile`` answered at the end."""
    failure: str = ""
    """Why that failed, if it did."""
    _running: list[Cluster] = field(default_factory=list)
    _paused: list[tuple[float, int]] = field(default_factory=list)
    _asking: Child | None = None
    _began: float = 0.0
    _late: float = 0.0
    """Seconds by which the fire lags behind its schedule, because clusters were not up yet."""
    _held: float | None = None
    """Since when the next event waits for that."""
    _moved: tuple[float, object] = (0.0, None)
    _hurried: float = 0.0
    _told: float = 0.0

    def run(self) -> bool:
        """Returns whether everything came to rest in time."""
        self._began = time.monotonic()
        for number in range(self.clusters):
            name = f"cluster-{number}"
            self._running.append(Cluster(name, self.stage.start_cluster(name)))
        try:
            waiting = list(self.events)
            while waiting and self.seconds < self.cap:
                while waiting and waiting[0].at + self._late <= self.seconds:
                    if self._must_wait(waiting[0]):
                        break
                    self._do(waiting.pop(0))
                self._tend()
                time.sleep(STEP)
            self._quiet()
            while self.seconds < self.cap:
                if self._at_rest():
                    self._reconcile()
                    return True
                self._tend()
                time.sleep(STEP)
            return False
        finally:
            self._stop()

    @property
    def seconds(self) -> float:
        """Since the start."""
        return time.monotonic() - self._began

    @property
    def kills(self) -> int:
        """How many processes or clusters were killed."""
        return sum(self.done[kind.value] for kind in KILLS)

    # -------------------------------------------------------------- the fire
    def _must_wait(self, event: Event) -> bool:
        """Whether its victim is not up yet: then the whole fire comes later, and misses nobody.

        Where starting takes longer than the next kill, all kills would hit the same process before
        it has done anything.
        """
        up = event.kind not in KILLS or len(_family(self._running[event.cluster].main.pid)) > 1
        self._held = None if up else self._held or self.seconds
        if self._held is None or self.seconds - self._held > UP_WITHIN:
            return False
        self._late = self.seconds - event.at
        return True

    def _do(self, event: Event) -> None:
        match event.kind:
            case Kind.LEASES:
                _patiently(_end_leases)
            case Kind.DATABASE:
                self.stage.restart_database(crash=event.pick < 0.5)
            case Kind.CHAIN:
                self.stage.kill_chain()
            case Kind.FAULTS | Kind.CONGESTION:
                self._order(faults=event.faults)
            case Kind.FORK:
                answer = self._order(fork=1 + int(event.pick * DEEPEST_FORK))
                self.done["transactions lost to forks"] += len(answer.get("lost", ()))
            case _:
                self._hit(event)
        self.done[event.kind.value] += 1

    def _hit(self, event: Event) -> None:
        """A signal for one process of a cluster, its main process, or all of them."""
        cluster = self._running[event.cluster]
        members = self.stage.members(cluster.name)
        if event.kind in (Kind.KILL_MAIN, Kind.TERMINATE_MAIN):
            members = [cluster.main.pid]
        elif event.kind not in (Kind.KILL_CLUSTER, Kind.TERMINATE_CLUSTER) and members:
            members = [members[int(event.pick * len(members))]]
        for pid in members:
            _signal(pid, SIGNALS[event.kind])
            if event.kind is Kind.PAUSE:
                self._paused.append((self.seconds + 2 + 8 * event.pick, pid))

    def _order(self, **orders: Any) -> dict[str, Any]:
        try:
            return self.stage.chain.control(**orders)
        except ChainError as error:
            say(f"  the chain did not take {orders}: {error}")
            return {}

    # -------------------------------------------------------------- what an operator does
    def _tend(self) -> None:
        """Wakes who was paused, starts what died, queues what is due, and says how far it is."""
        for due, pid in [each for each in self._paused if each[0] <= self.seconds]:
            _signal(pid, signal.SIGCONT)
            self._paused.remove((due, pid))
        for cluster in self._running:
            self._keep(cluster)
        _patiently(self._ask)
        if not self.hands_off:
            _patiently(self._hurry)
        if self.seconds - self._told > TELL_EVERY:
            self._told = self.seconds
            say(f"  {self.seconds:5.0f} s  {self.kills} kills, {_patiently(_progress)}")

    def _keep(self, cluster: Cluster) -> None:
        """As systemd would: a main process that ended is started again."""
        if cluster.orphans_until is not None and cluster.orphans_until <= self.seconds:
            cluster.orphans_until = None
            self._end_orphans(cluster)
        try:
            cluster.main.raise_if_ended()
        except ProcessError:
            left = len(self.stage.members(cluster.name))
            self.done["orphans left at work"] += left
            cluster.main = self.stage.start_cluster(cluster.name)
            cluster.started += 1
            cluster.orphans_until = self.seconds + ORPHANS_LIVE

    def _end_orphans(self, cluster: Cluster) -> None:
        """What earlier generations left; the present one's processes are its main's descendants."""
        mine = _family(cluster.main.pid)
        for pid in self.stage.members(cluster.name):
            if pid not in mine:
                _signal(pid, signal.SIGKILL)

    def _ask(self) -> None:
        """Names what is due and free, as people do; a failed reading is named again."""
        if self._asking is not None:
            try:
                self._asking.raise_if_ended()
            except ProcessError:
                self._asking = None
            return
        share = min(1.0, self.seconds / self.end) if self.end else 1.0
        due = self.readings[: max(READINGS_A_BATCH, int(share * len(self.readings)))]
        free = MeterReading.objects.filter(status__in=("pending", "failed"))
        # Few statuses are free at a time: cheaper than asking for thousands of ids.
        wanted = set(due)
        ids = [id_ for id_ in free.values_list("id", flat=True) if id_ in wanted]
        if ids:
            self.done["failed readings named again"] += free.filter(status="failed").count()
            chosen = [f"--reading={id_}" for id_ in ids[:READINGS_A_BATCH]]
            self._asking = self.stage.ask("mint", *chosen)
            self.done["batches asked for"] += 1

    def _hurry(self) -> None:
        """Shortens the waits that heal in production too: leases, sweeps, wedged clusters."""
        if self.seconds - self._hurried < HURRY_EVERY:
            return
        self._hurried = self.seconds
        running = MintSlice.objects.filter(status="running", lease_until__gt=timezone.now())
        dead = [row.pk for row in running if not _lives(row.claimed_by)]
        MintSlice.objects.filter(pk__in=dead).update(lease_until=timezone.now())
        nudge_if_waiting()
        marker = _marker()
        if marker != self._moved[1] or not _work_waits():
            self._moved = (self.seconds, marker)
        elif self.seconds - self._moved[0] > STANDSTILL:
            self._moved = (self.seconds, marker)
            self.done["clusters started again, standing still"] += len(self._running)
            for cluster in self._running:
                for pid in self.stage.members(cluster.name):
                    _signal(pid, signal.SIGKILL)

    # -------------------------------------------------------------- the end
    def _quiet(self) -> None:
        """The fire is out; what burns on has to heal."""
        say(f"  {self.seconds:5.0f} s  the fire is out")
        self._order(faults={})
        for _, pid in self._paused:
            _signal(pid, signal.SIGCONT)
        self._paused.clear()

    def _at_rest(self) -> bool:
        """Whether nothing is open; anybody may run a sweep, and we do not wait for the minute."""
        if not self.hands_off:
            try:
                _patiently(sweep)
            except BlockchainError as error:
                say(f"  the sweep failed: {error}")
        return _patiently(_is_at_rest)

    def _reconcile(self) -> None:
        """As a user would, while the clusters run: exit code 0, or the run has failed."""
        try:
            self.reconciled = self.stage.manage("reconcile").strip()
        except ProcessError as error:
            self.failure = str(error)

    def _stop(self) -> None:
        for cluster in self._running:
            for pid in self.stage.members(cluster.name):
                _signal(pid, signal.SIGCONT)
            cluster.main.stop(20)
            left = self.stage.members(cluster.name)
            self.done["processes left behind at the end"] += len(left)
            for pid in left:
                _signal(pid, signal.SIGKILL)
        if self._asking is not None:
            self._asking.stop()


def _signal(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):  # it ended meanwhile
        os.kill(pid, number)


def _family(pid: int) -> set[int]:
    """A process and its descendants."""
    found = {pid}
    with suppress(OSError):  # it ended meanwhile
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            found |= _family(int(child))
    return found


def _lives(claimed_by: str) -> bool:
    """Whether the worker of a claim (host:pid) still runs."""
    try:
        os.kill(int(claimed_by.rpartition(":")[2]), 0)
    except (ProcessLookupError, ValueError):
        return False
    return True


def _patiently(act: Callable[[], T]) -> T:
    """Does something in the database, again if that is away meanwhile.

    Raises:
        OperationalError, InterfaceError: It stays away.
    """
    give_up = time.monotonic() + DATABASE_BACK
    while True:
        try:
            return act()
        except (OperationalError, InterfaceError):
            connection.close()
            if time.monotonic() > give_up:
                raise
            time.sleep(STEP)


def _end_leases() -> None:
    MintSlice.objects.filter(status="running").update(lease_until=timezone.now())


def _marker() -> object:
    """Changes whenever anything of the work moves."""
    return (
        sorted(MintResult.objects.order_by().values_list("status").annotate(n=Count("id"))),
        sorted(MintTransaction.objects.order_by().values_list("status").annotate(n=Count("id"))),
        MintSlice.objects.aggregate(n=Sum("starts"))["n"],
    )


def _work_waits() -> bool:
    return MintSlice.objects.exclude(status="done").exists()


def _progress() -> str:
    told = dict(MeterReading.objects.order_by().values_list("status").annotate(n=Count("id")))
    return ", ".join(f"{number} {status}" for status, number in sorted(told.items()))


def _is_at_rest() -> bool:
    if MeterReading.objects.exclude(status="minted").exists():
        return False
    return not MintTransaction.objects.filter(status__in=("signed", "sent", "confirmed")).exists()


def say(text: str) -> None:
    """At once, also when nobody's terminal is behind it."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
