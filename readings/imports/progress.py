"""How far an import is, told while its transaction is open.

Nothing that a transaction writes is seen before it ends, except the name of its session: that is
in ``pg_stat_activity`` at once, and gone with the session, so that it also tells whether anybody
is still at it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from uuid import UUID

from django.db import connection

Tell = Callable[[int, int], None]
"""Rows so far, and per cent of the file."""

_SEEN = """
SELECT application_name FROM pg_stat_activity
 WHERE datname = current_database() AND starts_with(application_name, %s)
"""


@dataclass(frozen=True, slots=True)
class Progress:
    """What the session that is at it says."""

    rows: int
    percent: int


def silent(rows: int, percent: int) -> None:
    """Tells nobody."""


@contextmanager
def telling(import_id: UUID) -> Iterator[Tell]:
    """Names this session after the import, and puts its name right again."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('application_name')")
        (before,) = cursor.fetchone()

    def tell(rows: int, percent: int) -> None:
        _name(f"{_prefix(import_id)}{rows} {percent}")

    tell(0, 0)
    try:
        yield tell
    finally:
        _name(before)


def seen(import_id: UUID) -> Progress | None:
    """How far it is, if anybody is at it."""
    with connection.cursor() as cursor:
        cursor.execute(_SEEN, [_prefix(import_id)])
        row = cursor.fetchone()
    if row is None:
        return None
    rows, percent = row[0].removeprefix(_prefix(import_id)).split()
    return Progress(int(rows), int(percent))


def _prefix(import_id: UUID) -> str:
    return f"import {import_id.hex} "


def _name(name: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('application_name', %s, false)", [name])
