"""``Prefer: wait=N`` (RFC 7240): how long a client likes to wait for an outcome."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import BoundedSemaphore
from uuid import UUID

from rest_framework.request import Request

from gridtoken.web import POOL
from minting.models import MintBatch

MOST = 30
"""Seconds; a web thread is held for as long."""

LOOK_EVERY = 0.2
"""Seconds between two looks at the batch."""

SEATS = POOL["max_size"] - 4
"""Threads of a web process that may wait at once: the others answer whoever else asks, probes and
people too, however many clients wait for a batch that does not end."""

_seats = BoundedSemaphore(SEATS)

_WAIT = re.compile(r"wait\s*=\s*\"?([0-9]{1,9})\"?\s*(?:;.*)?", re.IGNORECASE)


def wanted_wait(request: Request) -> int | None:
    """Seconds that the client prefers to wait, capped; ``None`` if it does not say so."""
    for preference in request.headers.get("Prefer", "").split(","):
        if match := _WAIT.fullmatch(preference.strip()):
            return min(int(match[1]), MOST)
    return None


@contextmanager
def seat() -> Iterator[bool]:
    """Whether this thread may wait, until the block ends; it never waits for that."""
    taken = _seats.acquire(blocking=False)
    try:
        yield taken
    finally:
        if taken:
            _seats.release()


def wait_for(batch: MintBatch, seconds: int) -> MintBatch | None:
    """The batch when it is final, or as it is when the time is over or only a person can go on.

    ``None`` where too many wait already: a preference is nobody's right (RFC 7240, 2).
    """
    with seat() as taken:
        return _look_until(batch, time.monotonic() + seconds) if taken else None


def _look_until(batch: MintBatch, until: float) -> MintBatch:
    """The database is asked again and again: whoever mints it is another process."""
    while batch.is_worth_waiting_for and (left := until - time.monotonic()) > 0:
        time.sleep(min(LOOK_EVERY, left))
        batch = _read(batch.id)
    return batch


def _read(batch_id: UUID) -> MintBatch:
    return MintBatch.objects.get(id=batch_id)
