"""Calling workers. A nudge carries no work, only "look": it may be lost, repeated or run twice.

With PostgreSQL as broker its row is in the caller's commit. Redis is told after the commit, for a
worker must not look before there is something to see; if that fails, the guard of any cluster
calls within seconds (``upkeep.call_if_unattended``), the sweep within a minute.
"""

from __future__ import annotations

from functools import partial
from uuid import UUID

import structlog
from django.db import transaction
from django_q.conf import Conf
from django_q.tasks import async_task
from redis import RedisError

from minting.engine.states import SliceStatus
from minting.models import MintBatch, MintSlice

log = structlog.get_logger(__name__)

LOOK = "minting.tasks.look"
"""A dotted name: a function that moved would kill the queue's pusher again and again."""

PROVE = "minting.tasks.prove"

ERRAND = "minting.tasks.run_errand"
DELIVER = "minting.tasks.deliver"

POLL = "minting.tasks.poll"

AT_ONCE = 4
"""Workers that are called together. More are called by those, while slices wait and nobody who is
called has not come yet: tasks in front of the scheduled ones would only delay these."""


def call_workers(batch: MintBatch) -> None:
    """A nudge for each of its slices, up to ``AT_ONCE``."""
    nudge(min(batch.slices.count(), AT_ONCE))


def call_for_waiting() -> None:
    """The same for all slices that wait, whatever their batch."""
    nudge(min(MintSlice.objects.filter(status=SliceStatus.QUEUED).count(), AT_ONCE))


def ask_for_proof(transaction_id: UUID) -> None:
    """Asks a worker to look at one transaction in doubt, rather than within the minute."""
    _tell(PROVE, str(transaction_id), group="recover")


def call_for_errand(errand_id: UUID) -> None:
    """Asks a worker to do an errand, whose row is in the caller's transaction."""
    _tell(ERRAND, str(errand_id), group="errand")


def call_courier() -> None:
    """Asks a worker to send what other systems are to be told."""
    _tell(DELIVER, group="webhooks")


def call_poller() -> None:
    """Asks a worker to mint what is pending."""
    _tell(POLL, group="poll")


def nudge(workers: int = 1) -> None:
    """Asks so many workers, whichever are free, to look for slices that nobody drives."""
    _tell(LOOK, group="mint", times=workers)


def _tell(path: str, *arguments: str, group: str, times: int = 1) -> None:
    enqueue = partial(async_task, path, *arguments, group=group)
    if Conf.ORM:
        for _ in range(times):
            enqueue()
    else:
        transaction.on_commit(partial(_try, enqueue, times))


def _try(enqueue: partial[str], times: int) -> None:
    """Never fails: what was asked for is committed, and found without a nudge too."""
    try:
        for _ in range(times):
            enqueue()
    except RedisError as error:
        log.warning("nudge_lost", reason=str(error))
