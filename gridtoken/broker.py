"""Redis as the queue, for who sets ``Q_BROKER_URL``; django-q2's own broker, made patient.

A task that Redis handed out is gone from it: nothing is acknowledged, and nothing comes back when
its worker dies or Redis forgets. Tasks are only nudges, so nothing hangs on one.
"""

from __future__ import annotations

import os
import time
from functools import lru_cache

import redis
import structlog
from django_q.brokers.redis_broker import Redis
from django_q.conf import Conf
from redis.backoff import NoBackoff
from redis.retry import Retry

log = structlog.get_logger(__name__)

CONNECT = 1.0
"""Seconds to reach the server; a request of somebody may be waiting."""

ANSWER = 3.0
"""Seconds for an answer, one of them spent waiting for a task."""

ABSENT = 1.0
"""Seconds between two questions to a server that does not answer."""


class RedisBroker(Redis):
    """django-q2's, with one client a process, bounded waits, and no despair of a lost server."""

    _away = False

    @staticmethod
    def get_connection(list_key: str | None = None) -> redis.Redis:
        """The process's client."""
        del list_key
        return _client(Conf.REDIS, os.getpid())

    def dequeue(self) -> list[tuple[None, bytes]] | None:
        """The next task, if one comes within a second; a server that is away has none.

        django-q2 would end the pusher, with a traceback, ten seconds later.
        """
        try:
            found: list[tuple[None, bytes]] | None = super().dequeue()
        except (redis.ConnectionError, redis.TimeoutError) as error:
            if not self._away:
                log.warning("broker_away", reason=str(error))
            self._away = True
            time.sleep(ABSENT)
            return None
        if self._away:
            log.info("broker_back")
        self._away = False
        return found

    def next_task(self) -> bytes | None:
        """What the next worker will get, left where it is; no two tasks are alike."""
        found: bytes | None = self.connection.lindex(self.list_key, 0)
        return found


@lru_cache(maxsize=1)
def _client(url: str, process: int) -> redis.Redis:
    """Keeps its connections; a forked process has its own."""
    del process
    return redis.from_url(
        url,
        socket_connect_timeout=CONNECT,
        socket_timeout=ANSWER,
        # A connection that broke while nobody used it is opened anew. What is not answered in
        # time is not asked again: the caller has waited long enough.
        retry=Retry(NoBackoff(), 1, supported_errors=(redis.ConnectionError,)),
    )
