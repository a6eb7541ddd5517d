"""Asking a worker to go on with files; whatever is lost is found by the schedule, each minute."""

from __future__ import annotations

from functools import partial

import structlog
from django.db import transaction
from django_q.conf import Conf
from django_q.tasks import async_task
from redis import RedisError

log = structlog.get_logger(__name__)

WORK = "readings.tasks.work_imports"


def ask_for_work() -> None:
    """A call; with PostgreSQL as broker it is in the caller's commit, with Redis it follows."""
    enqueue = partial(async_task, WORK, group="imports")
    if Conf.ORM:
        enqueue()
    else:
        transaction.on_commit(partial(_try, enqueue))


def _try(enqueue: partial[str]) -> None:
    try:
        enqueue()
    except RedisError as error:
        log.warning("nudge_lost", reason=str(error))
