"""One poll at a time over all workers of all machines: a lock of PostgreSQL's sessions.

It goes with the process that holds it, however that ends. A process that lost its connection lost
the lock, too, so it is asked for again where a batch is written.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import Error, connection

_NUMBER = 0x6772_6964_706F_6C6C
"""Of the advisory lock."""


@contextmanager
def alone() -> Iterator[bool]:
    """Whether nobody else polls; nobody else may, until the block ends."""
    held = _ask("SELECT pg_try_advisory_lock(%s)")
    try:
        yield held
    finally:
        if held:
            _let_go()


def still_alone() -> bool:
    """Whether no other session holds the lock; none may, until the caller's transaction ends."""
    return _ask("SELECT pg_try_advisory_xact_lock(%s)")


def _let_go() -> None:
    try:
        _ask("SELECT pg_advisory_unlock(%s)")
    except Error:
        # A lock goes with its session, and this one is of no use any more.
        connection.close()


def _ask(question: str) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(question, [_NUMBER])
        row = cursor.fetchone()
    return bool(row and row[0])
