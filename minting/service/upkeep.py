"""What a cluster's guard does in the tables: frees what the dead held, and calls the living."""

from __future__ import annotations

import socket
from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta

import structlog
from django.db import transaction
from django.utils import timezone
from django_q.brokers import get_broker
from django_q.conf import Conf
from django_q.models import OrmQ

from minting import journal
from minting.service import nudges
from minting.service.recover import slices_wait

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
    if freed:
        log.warning("slices_of_the_dead_released", slices=freed)
    return freed


def call_if_unattended() -> bool:
    """Calls a worker when slices wait that nobody drives and no task of the queue is there to.

    Returns:
        Whether it called.
    """
    if get_broker().queue_size() or not slices_wait():
        return False
    nudges.nudge()
    return True


def untaken(since: timedelta) -> bool:
    """Whether the queue holds a task that any worker could have taken for that long.

    Redis does not tell since when; there a wedge shows between pusher and workers only.
    """
    waiting = OrmQ.objects.filter(key=Conf.CLUSTER_NAME, lock__lt=timezone.now() - since)
    return bool(waiting.exists())
