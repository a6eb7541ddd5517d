"""New readings into the table, any number by one statement."""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter

from django.db import connection

from readings.models import MeterReading

_FIELDS = MeterReading._meta.concrete_fields
_COPY = "COPY {table} ({columns}) FROM STDIN".format(
    table=MeterReading._meta.db_table, columns=", ".join(f'"{field.column}"' for field in _FIELDS)
)
_values = attrgetter(*(field.attname for field in _FIELDS))


def store(readings: Sequence[MeterReading]) -> None:
    """Writes readings that are not stored yet.

    By COPY: an INSERT of as many spends half of the whole intake on its parameters. Values come
    from ``readings.candidate``, so they fit their columns; constraints hold as always.

    Raises:
        IntegrityError: One of them cannot be; none is stored once the transaction has ended.
    """
    if not readings:
        return
    with (
        connection.cursor() as cursor,
        connection.wrap_database_errors,
        cursor.copy(_COPY) as copy,
    ):
        for reading in readings:
            copy.write_row(_values(reading))
    for reading in readings:
        reading._state.adding = False
        reading._state.db = connection.alias
