"""Who works, what they work on, and what waits in the queue."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Count, Min
from django.db.models.functions import Now
from django.utils import timezone
from django_q.brokers import get_broker
from django_q.conf import Conf
from django_q.models import OrmQ
from django_q.signing import BadSignature, SignedPackage
from redis import RedisError

from gridtoken.broker import RedisBroker
from minting.engine.states import SliceStatus
from minting.models import MintSlice, Pulse, PulseKind
from minting.service.watch.pulses import Beat, note

SILENT = timedelta(seconds=20)
"""Without a sign a cluster counts as gone; it gives one every five seconds."""

REMEMBERED = timedelta(hours=1)
"""For which one that is gone is shown, since somebody may miss it."""


@dataclass(frozen=True, slots=True)
class ClusterHealth:
    """One ``qcluster``."""

    name: str
    """Host and process."""
    lives: bool
    seen_at: datetime
    started_at: datetime
    workers: int
    polls_every: timedelta | None = None
    """Where it calls the poller."""


@dataclass(frozen=True, slots=True)
class QueueHealth:
    """The queue's tasks; what they lead to is in the slices."""

    broker: str
    depth: int | None
    """Tasks that nobody took; ``None``: the broker does not answer."""
    oldest_at: datetime | None
    """Since when the first of them waits."""
    trouble: str


@dataclass(frozen=True, slots=True)
class WorkerHealth:
    """All that works."""

    clusters: tuple[ClusterHealth, ...]
    driven: int
    """Slices that a worker holds."""
    waiting: int
    """Slices that nobody holds."""
    queue: QueueHealth

    @property
    def workers(self) -> int:
        """Of the clusters that live."""
        return sum(each.workers for each in self.clusters if each.lives)


def cluster_name(pid: int) -> str:
    """Host and process of a ``qcluster``."""
    return f"{socket.gethostname()}:{pid}"


def report(
    pid: int, *, workers: int, started_at: datetime, polls_every: timedelta | None = None
) -> None:
    """A sign of life of the cluster whose watchdog calls; forgets those that are long gone."""
    facts = {
        "workers": workers,
        "started_at": started_at.isoformat(),
        "polls_every": polls_every.total_seconds() if polls_every else None,
    }
    note(PulseKind.CLUSTER, [Beat(cluster_name(pid), facts=facts)])
    gone = Pulse.objects.filter(kind=PulseKind.CLUSTER, alive_at__lt=timezone.now() - REMEMBERED)
    gone.delete()


def leave(pid: int) -> None:
    """A cluster that ends because it was told to is not missed."""
    Pulse.objects.filter(kind=PulseKind.CLUSTER, name=cluster_name(pid)).delete()


def clusters() -> tuple[ClusterHealth, ...]:
    """Those that live, and those that are missed."""
    rows = Pulse.objects.filter(kind=PulseKind.CLUSTER).order_by("name")
    return tuple(map(_cluster, rows))


def look() -> WorkerHealth:
    """Of now."""
    held = MintSlice.objects.filter(status=SliceStatus.RUNNING, lease_until__gte=Now())
    return WorkerHealth(
        clusters=clusters(),
        driven=held.count(),
        waiting=MintSlice.objects.waiting().count(),
        queue=_queue(),
    )


def _cluster(row: Pulse) -> ClusterHealth:
    seen_at = row.alive_at or row.checked_at
    return ClusterHealth(
        name=row.name,
        lives=timezone.now() - seen_at < SILENT,
        seen_at=seen_at,
        started_at=datetime.fromisoformat(row.facts["started_at"]),
        workers=row.facts["workers"],
        # Of a cluster of an older release there is no word.
        polls_every=timedelta(seconds=every) if (every := row.facts.get("polls_every")) else None,
    )


def _queue() -> QueueHealth:
    broker = get_broker()
    if not isinstance(broker, RedisBroker):
        return _in_postgresql()
    try:
        return QueueHealth("Redis", broker.queue_size(), _began(broker.next_task()), "")
    except RedisError as error:
        return QueueHealth("Redis", None, None, str(error))


def _in_postgresql() -> QueueHealth:
    # A task that is taken has its lock in the future.
    untaken = OrmQ.objects.filter(key=Conf.CLUSTER_NAME, lock__lte=Now())
    told = untaken.aggregate(depth=Count("id"), oldest=Min("lock"))
    return QueueHealth("PostgreSQL", told["depth"], told["oldest"], "")


def _began(task: bytes | None) -> datetime | None:
    """When a task was put into the queue, as it says itself."""
    if task is None:
        return None
    try:
        began: datetime = SignedPackage.loads(task)["started"]
    except BadSignature:  # another installation's, or of another secret
        return None
    return began
