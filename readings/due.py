"""What the poller takes: pending readings in portions of whole wallets, the oldest first."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from itertools import groupby
from uuid import UUID

from django.db import connection

from readings.conf import limits
from readings.rules import ReadingStatus, Verification

FETCH_CHUNK = 10_000
"""Rows fetched at a time from a server-side cursor."""

# What speaks against a pending reading may have come since intake (``rules.judge_again``): a wallet
# that is gone, a lowered limit. It would be left out of every batch, and is not asked for.
_DUE = """
SELECT owner_id, count(*) AS readings, sum(kwh_amount) AS kwh, min(period_end) AS since
  FROM readings_meterreading
 WHERE status = %(pending)s AND is_current
   AND (released_at IS NOT NULL
        OR kwh_amount <= %(largest)s AND verification <> %(unverified)s)
 GROUP BY owner_id
"""

_PORTIONS = f"""
WITH due AS MATERIALIZED ({_DUE}),
wallets AS MATERIALIZED (
    SELECT w.address, min(due.since) AS since
      FROM due JOIN readings_wallet w ON w.owner_id = due.owner_id AND w.retired_at IS NULL
     WHERE due.kwh >= %(threshold)s
     GROUP BY w.address
)
SELECT r.id, wallets.address
  FROM wallets
  JOIN readings_wallet w ON w.address = wallets.address AND w.retired_at IS NULL
  JOIN due ON due.owner_id = w.owner_id AND due.kwh >= %(threshold)s
  JOIN readings_meterreading r ON r.owner_id = w.owner_id
 WHERE r.status = %(pending)s AND r.is_current
   AND (r.released_at IS NOT NULL
        OR r.kwh_amount <= %(largest)s AND r.verification <> %(unverified)s)
 ORDER BY wallets.since, wallets.address, r.period_end, r.id
"""  # noqa: S608 — of constants

_BELOW = f"""
SELECT coalesce(sum(due.readings), 0)
  FROM ({_DUE}) due JOIN readings_wallet w ON w.owner_id = due.owner_id AND w.retired_at IS NULL
 WHERE due.kwh < %(threshold)s
"""  # noqa: S608 — of constants


def portions(*, threshold: Decimal, most: int) -> Iterator[list[UUID]]:
    """All that is due at this moment, a batch at a time, by the age of each wallet's oldest.

    A wallet's readings stay together; those of one that has more than ``most`` fill portions of
    their own, the oldest first. What comes in or is taken meanwhile changes nothing.

    Args:
        threshold: kWh; owners whose pending readings sum up to less are left out.
        most: Readings of a portion.
    """
    taken: list[UUID] = []
    for _, rows in groupby(_rows(threshold), key=lambda row: row[1]):
        ids = [id_ for id_, _ in rows]
        if taken and len(taken) + len(ids) > most:
            yield taken
            taken = []
        taken += ids
        while len(taken) > most:
            yield taken[:most]
            taken = taken[most:]
    if taken:
        yield taken


def below(threshold: Decimal) -> int:
    """Readings that could be minted, of owners whose pending ones sum up to less (kWh)."""
    if not threshold:
        return 0
    with connection.cursor() as cursor:
        cursor.execute(_BELOW, _given(threshold))
        return int(cursor.fetchone()[0])


def _rows(threshold: Decimal) -> Iterator[tuple[UUID, str]]:
    with connection.chunked_cursor() as cursor:
        cursor.execute(_PORTIONS, _given(threshold))
        while rows := cursor.fetchmany(FETCH_CHUNK):
            yield from rows


def _given(threshold: Decimal) -> dict[str, object]:
    return {
        "pending": ReadingStatus.PENDING.value,
        "unverified": Verification.UNVERIFIED.value,
        "largest": limits().max_reading_kwh,
        "threshold": threshold,
    }
