"""The one clock that all machines share: the database's."""

from __future__ import annotations

from datetime import UTC, datetime

from django.db import connection


def database_time() -> datetime:
    """The time now, whatever this machine's own clock says; one small question to PostgreSQL.

    For dates that another machine compares with, or that are told to others. Inside a transaction
    time goes on.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        moment: datetime = cursor.fetchone()[0]
    return moment.astimezone(UTC)
