"""Requests that may be sent again: found, run by one process at a time, and forgotten.

The row is the truth: it is in the commit of what the request did. The lock only says who runs, and
goes with the process that holds it, however that ends.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from hashlib import sha256

from django.db import Error, connection, transaction

from minting import journal
from minting.journal import KeyedRequest
from minting.models import IdempotencyKey

KEPT = timedelta(days=30)

ROWS_AT_ONCE = 5_000
"""Keys that one statement frees."""

PASS = 45.0
"""Seconds after which a pass stops; the next one goes on where it did."""


def find(request: KeyedRequest) -> IdempotencyKey | None:
    """What was kept under the request's key, whatever it asked then."""
    return (
        IdempotencyKey.objects.select_related("batch")
        .filter(user=request.user_id, endpoint=request.endpoint, key=request.key)
        .first()
    )


@contextmanager
def alone(request: KeyedRequest) -> Iterator[bool]:
    """Whether nobody else runs a request with this key; nobody else may, until the block ends."""
    number = _number(request)
    held = _ask("SELECT pg_try_advisory_lock(%s)", number)
    try:
        yield held
    finally:
        if held:
            _let_go(number)


def forget_old() -> int:
    """Frees the keys that were kept long enough; returns how many."""
    forgotten = 0
    end = time.monotonic() + PASS
    while time.monotonic() < end:
        with transaction.atomic():
            freed = journal.forget_requests(older_than=KEPT, limit=ROWS_AT_ONCE)
        forgotten += freed
        if freed < ROWS_AT_ONCE:
            break
    return forgotten


def _number(request: KeyedRequest) -> int:
    """The lock's; two keys with the same one would only wait for each other."""
    name = f"idempotency/{request.user_id}/{request.endpoint}/{request.key}"
    return int.from_bytes(sha256(name.encode()).digest()[:8], "big", signed=True)


def _let_go(number: int) -> None:
    try:
        _ask("SELECT pg_advisory_unlock(%s)", number)
    except Error:
        # A lock goes with its session, and this one is of no use any more.
        connection.close()


def _ask(question: str, number: int) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(question, [number])
        row = cursor.fetchone()
    return bool(row and row[0])
