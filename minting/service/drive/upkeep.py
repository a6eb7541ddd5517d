"""What a cluster's guard does in the tables: frees what the dead held, and calls the living."""

from __future__ import annotations

import socket
import time
from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta

import structlog
from django.db import transaction
from django.utils import timezone
from django_q.brokers import get_broker
from django_q.conf import Conf
from django_q.models import OrmQ
from redis import RedisError

from gridtoken.broker import RedisBroker
from minting import journal
from minting.service import nudges
from minting.service.drive.recover import slices_wait
from minting.service.requests import errands

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Fallen:
    """A worker that its guard saw die alone, though nobody had asked it to end."""

    pid: int
    cause: str


def worker_name(pid: int) -> str:
    """Host and process: who drives a slice, for people to read and for ``release_the_dead``."""
    return f"{socket.gethostname()}:{pid}"


def release_the_dead(pids: Collection[int], fallen: Fallen | None = None) -> int:
    """Frees the slices of workers of this host that are known to be gone.

    Args:
        pids: All of them.
        fallen: The one whose death counts against what it held.

    Returns:
        How many slices are free again.
    """
    freed = 0
    for pid in pids:
        cause = fallen.cause if fallen and fallen.pid == pid else ""
        with transaction.atomic():
            freed += journal.release_of_the_dead(worker=worker_name(pid), cause=cause)
    errands.free([worker_name(pid) for pid in pids])
    if freed:
        log.warning("slices_of_the_dead_released", slices=freed)
    return freed


def call_if_unattended() -> bool:
    """Calls a worker when slices wait that nobody drives and no task of the queue is there to.

    Returns:
        Whether it called.
    """
    try:
        if get_broker().queue_size() or not slices_wait():
            return False
    except RedisError as error:
        # Who asks goes on without; whoever asks next will call.
        log.warning("broker_away", reason=str(error))
        return False
    nudges.nudge()
    return True


class QueueWatch:
    """Whether tasks lie in the queue that any worker could take; to be asked again and again."""

    def __init__(self) -> None:
        self._next: bytes | None = None
        self._next_since = 0.0

    def untaken(self, since: timedelta) -> bool:
        """Whether one has lain there for that long.

        Redis does not tell since when: there it is as long as it was seen to be the next.
        """
        broker = get_broker()
        if not isinstance(broker, RedisBroker):
            waiting = OrmQ.objects.filter(key=Conf.CLUSTER_NAME, lock__lt=timezone.now() - since)
            return bool(waiting.exists())
        found = broker.next_task()
        if found != self._next:
            self._next, self._next_since = found, time.monotonic()
        return found is not None and time.monotonic() - self._next_since > since.total_seconds()
