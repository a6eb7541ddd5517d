"""All tables, as text to be looked through for what must not be there; and what is read of one."""

from __future__ import annotations

from django.db import connection


def every_row() -> str:
    """Every row of every table; bytes as text too."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        rows = []
        for (name,) in cursor.fetchall():
            cursor.execute(f'SELECT t::text FROM "{name}" t')  # noqa: S608
            rows += [row for (row,) in cursor.fetchall()]
        cursor.execute("SELECT data FROM readings_importpart")
        rows += [bytes(data).decode("latin-1") for (data,) in cursor.fetchall()]
    return "\n".join(rows).lower()


def rows_read(table: str) -> int:
    """Rows of a table that this transaction has read so far, by whatever plan."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_xact_user_tables WHERE relname = %s",
            [table],
        )
        return int(cursor.fetchone()[0])
