"""Readings locked, and what became of them written: by minting's journal alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NewType
from uuid import UUID

from django.db import connection

from readings.errors import UnknownReading
from readings.models import MeterReading
from readings.queries.picking import Ids, picked_sql, require_transaction
from readings.rules import (
    UNCODED,
    ReadingStatus,
)

STATUS_CHUNK = 10_000
"""Rows a statement of ``set_status`` carries."""

StatusChange = tuple[UUID, str, str, UUID | None]
"""Reading, status, code (empty unless one is due), the result that says so."""

UuidArray = NewType("UuidArray", str)
"""PostgreSQL's own text of a ``uuid[]``: ids that nobody has to read on the way."""


@dataclass(frozen=True, slots=True)
class Alike:
    """Readings that become the same; each has its own result, in the same place."""

    reading_ids: UuidArray
    result_ids: UuidArray
    status: str
    code: str


# Rows are locked in the order of ids by whoever locks several, so that two never wait for each
# other; NO KEY, so that inserting a result that refers to the reading does not wait either.
_LOCK = """
SELECT count(*) FROM (
    SELECT FROM readings_meterreading WHERE id IN ({picked}) ORDER BY id FOR NO KEY UPDATE
) AS locked
"""

_SET_STATUS = """
WITH locked AS (
    SELECT id FROM readings_meterreading WHERE id = ANY(%(ids)s) ORDER BY id FOR NO KEY UPDATE
)
UPDATE readings_meterreading r
   SET status = v.status, code = v.code, last_result_id = v.result_id
  FROM unnest(%(ids)s::uuid[], %(statuses)s::text[], %(codes)s::text[], %(results)s::uuid[])
       AS v (id, status, code, result_id)
  JOIN locked ON locked.id = v.id
 WHERE r.id = v.id
"""


_CHANGES_ALIKE = """
SELECT reading_id, %s, %s, result_id
  FROM unnest(%s::uuid[], %s::uuid[]) AS alike (reading_id, result_id)
"""

_SET_ALIKE = """
WITH v (id, status, code, result_id) AS MATERIALIZED ({changes}),
locked AS (
    SELECT r.id FROM readings_meterreading r JOIN v ON v.id = r.id
     ORDER BY r.id FOR NO KEY UPDATE OF r
)
UPDATE readings_meterreading r
   SET status = v.status, code = v.code, last_result_id = v.result_id
  FROM v JOIN locked ON locked.id = v.id
 WHERE r.id = v.id
   AND (r.status, r.code, r.last_result_id) IS DISTINCT FROM (v.status, v.code, v.result_id)
"""


def lock_for_minting(ids: Ids) -> int:
    """Locks readings until the transaction ends; returns how many there are.

    Args:
        ids: Any number, in any order. A query is asked anew by everything that takes it, so it
            must find the same as long as the transaction lasts.
    """
    require_transaction()
    picked, params = picked_sql(ids)
    with connection.cursor() as cursor:
        cursor.execute(_LOCK.format(picked=picked), params)
        return int(cursor.fetchone()[0])


def lock_retrying(results: Mapping[UUID, UUID]) -> set[UUID]:
    """Locks those of the readings that are ``retrying`` because of the result given for each."""
    require_transaction()
    rows = (
        MeterReading.objects.select_for_update(no_key=True)
        .filter(id__in=results, status=ReadingStatus.RETRYING)
        .order_by("id")
    )
    return {id_ for id_, last in rows.values_list("id", "last_result_id") if last == results[id_]}


def set_status(changes: Iterable[StatusChange]) -> None:
    """Writes what became of readings, in the transaction of the journal that says so.

    Args:
        changes: Stored as given (a result of ``None`` clears it), but for the code of a status
            that has nothing to explain.

    Raises:
        UnknownReading: One of the readings does not exist; the caller's transaction must end.
    """
    require_transaction()
    ordered = sorted(changes, key=lambda change: change[0].bytes)
    with connection.cursor() as cursor:
        for at in range(0, len(ordered), STATUS_CHUNK):
            chunk = ordered[at : at + STATUS_CHUNK]
            ids = [change[0] for change in chunk]
            cursor.execute(
                _SET_STATUS,
                {
                    "ids": ids,
                    "statuses": [str(status) for _, status, _, _ in chunk],
                    "codes": ["" if status in UNCODED else code for _, status, code, _ in chunk],
                    "results": [result_id for _, _, _, result_id in chunk],
                },
            )
            if cursor.rowcount != len(chunk):
                raise UnknownReading(_first_unknown(ids))


def set_alike(changes: Iterable[Alike]) -> None:
    """As ``set_status``, in one statement, for any number of readings of which many are alike.

    Every reading exists: a result refers to it. What is so already is not written again, as when
    a confirmed result becomes final.
    """
    require_transaction()
    parameters = [
        value
        for each in changes
        for value in (
            str(each.status),
            "" if each.status in UNCODED else each.code,
            each.reading_ids,
            each.result_ids,
        )
    ]
    union = " UNION ALL ".join([_CHANGES_ALIKE] * (len(parameters) // 4))
    with connection.cursor() as cursor:
        cursor.execute(_SET_ALIKE.format(changes=union), parameters)


def _first_unknown(ids: list[UUID]) -> UUID:
    known = set(MeterReading.objects.filter(id__in=ids).values_list("id", flat=True))
    return next((reading_id for reading_id in ids if reading_id not in known), ids[0])
