"""Adds what this process counts to the table that is the same for all of them.

Prometheus' own way for several processes (files that are mapped into memory) covers those of one
machine, ends them where the disk is full, and leaves a file for each that ever lived.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Sequence

import structlog
from django.db import DatabaseError, connection
from prometheus_client import CollectorRegistry

from minting.cluster import timing
from minting.monitoring import requests

log = structlog.get_logger(__name__)

EVERY = 5.0
"""Seconds between two additions; what a process that is killed had not added is lost."""

REGISTRIES = (timing.REGISTRY, requests.REGISTRY)

# In the order of the keys, so that processes never wait for each other in a circle.
_ADD = """
INSERT INTO minting_tally AS tally (name, labels, value)
SELECT * FROM unnest(%s::text[], %s::text[], %s::float8[]) ORDER BY 1, 2
ON CONFLICT (name, labels) DO UPDATE SET value = tally.value + EXCLUDED.value
"""

_Series = tuple[str, str]
"""A sample's name, and its labels as JSON."""


class Publisher:
    """What of some registries was added already."""

    def __init__(self, registries: Sequence[CollectorRegistry]) -> None:
        self._registries = registries
        self._lock = threading.Lock()
        self._told: dict[_Series, float] = {}

    def publish(self) -> int:
        """Adds what is new, in one statement; returns how many series grew."""
        with self._lock:
            now = dict(self._samples())
            grown = {
                key: more for key, value in now.items() if (more := value - self._told.get(key, 0))
            }
            if not grown:
                return 0
            names, labels = zip(*grown, strict=True)
            with connection.cursor() as cursor:
                cursor.execute(_ADD, [list(names), list(labels), list(grown.values())])
            self._told = now
            return len(grown)

    def _samples(self) -> Iterator[tuple[_Series, float]]:
        for registry in self._registries:
            for metric in registry.collect():
                for sample in metric.samples:
                    if not sample.name.endswith("_created"):
                        labels = json.dumps(sample.labels, sort_keys=True, separators=(",", ":"))
                        yield (sample.name, labels), sample.value

    def forget(self) -> None:
        """What was counted until now is another's to add: before a fork it was the parent's."""
        with self._lock:
            self._told = dict(self._samples())


publisher = Publisher(REGISTRIES)


def begin() -> None:
    """Publishes from now on, in a thread of its own; for processes that live long, after forking.

    A thread, so that no request and no minting ever waits for it, and so that what an idle worker
    counted last is told too.
    """
    publisher.forget()
    threading.Thread(target=_keep_publishing, name="publisher", daemon=True).start()


def _keep_publishing() -> None:
    while True:
        time.sleep(EVERY)
        try:
            publisher.publish()
        except DatabaseError as error:
            # Added with the next; nothing is lost.
            log.debug("figures_not_published", reason=str(error).strip())
        finally:
            connection.close()
