"""What the poller takes: pending readings in portions of whole wallets, the oldest first."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection

from readings.conf import limits
from readings.models import MeterReading
from readings.rules import ReadingStatus, Verification

FETCH_CHUNK = 10_000
"""Wallets fetched at a time from a server-side cursor."""

_BEGINNING = (datetime(1, 1, 1, tzinfo=UTC), UUID(int=0))
"""Before every reading."""

# What speaks against a pending reading may have come since intake (``rules.judge_again``): a wallet
# that is gone, a lowered limit. It would be left out of every batch, and is not asked for.
_MINTABLE = """
       r.status = %(pending)s AND r.is_current
   AND (r.released_at IS NOT NULL
        OR r.kwh_amount <= %(largest)s AND r.verification <> %(unverified)s)
"""

_SUMS = "count(*) AS readings, sum(r.kwh_amount) AS kwh, min(r.period_end) AS since"

_DUE = f"""
SELECT r.owner_id, {_SUMS} FROM readings_meterreading r WHERE {_MINTABLE} GROUP BY r.owner_id
"""  # noqa: S608 — of constants

# The same where somebody is passed over: owner by owner, so that their readings are not read.
_DUE_BUT_FOR = f"""
SELECT o.owner_id, one.*
  FROM readings_wallet o CROSS JOIN LATERAL (
       SELECT {_SUMS} FROM readings_meterreading r WHERE r.owner_id = o.owner_id AND {_MINTABLE}
       HAVING count(*) > 0) AS one
 WHERE o.retired_at IS NULL AND o.owner_id <> ALL(%(but_for)s::uuid[])
"""  # noqa: S608 — of constants

_WALLETS = """
SELECT array_agg(due.owner_id), sum(due.readings)::bigint
  FROM ({due}) AS due
  JOIN readings_wallet w ON w.owner_id = due.owner_id AND w.retired_at IS NULL
 WHERE due.kwh >= %(threshold)s
 GROUP BY w.address ORDER BY min(due.since), w.address
"""

# Owner by owner here, too: the inner limit keeps PostgreSQL from joining with all that is pending.
_READINGS = f"""
SELECT one.id, one.period_end, due.place
  FROM unnest(%(owners)s::uuid[], %(places)s::int[]) AS due (owner_id, place)
 CROSS JOIN LATERAL (
       SELECT r.id, r.period_end FROM readings_meterreading r
        WHERE r.owner_id = due.owner_id AND {_MINTABLE}
          AND (r.period_end, r.id) > (%(after_end)s, %(after_id)s)
        ORDER BY r.period_end, r.id LIMIT %(limit)s) AS one
 ORDER BY due.place, one.period_end, one.id LIMIT %(limit)s
"""  # noqa: S608 — of constants

_BELOW = """
SELECT coalesce(sum(due.readings), 0)
  FROM ({due}) AS due
  JOIN readings_wallet w ON w.owner_id = due.owner_id AND w.retired_at IS NULL
 WHERE due.kwh < %(threshold)s
"""

# One look into the index a wallet, however much waits for it.
_PAYEES = """
SELECT w.owner_id, w.address, w.allow_off_curve
  FROM readings_wallet w CROSS JOIN LATERAL (
       SELECT FROM readings_meterreading r
        WHERE r.owner_id = w.owner_id AND r.status = %(pending)s AND r.is_current LIMIT 1) AS one
 WHERE w.retired_at IS NULL
"""


class Payee(NamedTuple):
    """Somebody for whom readings are pending, and the wallet of now."""

    owner_id: UUID
    address: str
    allow_off_curve: bool


@dataclass(frozen=True, slots=True)
class _Wallet:
    owners: list[UUID]
    """More than one where several are paid at one address."""
    readings: int


def payees() -> Iterator[Payee]:
    """All for whom readings are pending; what it costs does not grow with these."""
    with connection.chunked_cursor() as cursor:
        cursor.execute(_PAYEES, {"pending": ReadingStatus.PENDING.value})
        while rows := cursor.fetchmany(FETCH_CHUNK):
            yield from (Payee(*row) for row in rows)


def pending_of(owner_ids: Collection[UUID]) -> int:
    """Their pending readings, counted in the index."""
    return MeterReading.objects.mintable().filter(owner__in=list(owner_ids)).count()


def portions(
    *, threshold: Decimal, most: int, but_for: Collection[UUID] = ()
) -> Iterator[list[UUID]]:
    """All that is due, a batch at a time, by the age of each wallet's oldest.

    A wallet's readings stay together; one that has more than ``most`` fills portions of its own,
    the oldest first. What came in since the first portion was asked for may come along.

    Args:
        threshold: kWh; owners whose pending readings sum up to less are left out.
        most: Readings of a portion.
        but_for: Owners who are passed over; their readings are not even looked at.
    """
    together: list[_Wallet] = []
    readings = 0
    for wallet in _wallets(threshold, but_for):
        if readings + wallet.readings > most:
            yield from _whole(together, most)
            together, readings = [], 0
        if wallet.readings > most:
            yield from _divided(wallet, most)
        else:
            together.append(wallet)
            readings += wallet.readings
    yield from _whole(together, most)


def below(threshold: Decimal, *, but_for: Collection[UUID] = ()) -> int:
    """Readings that could be minted, of owners whose pending ones sum up to less (kWh)."""
    if not threshold:
        return 0
    with connection.cursor() as cursor:
        cursor.execute(*_of_due(_BELOW, threshold, but_for))
        return int(cursor.fetchone()[0])


def _wallets(threshold: Decimal, but_for: Collection[UUID]) -> Iterator[_Wallet]:
    with connection.chunked_cursor() as cursor:
        cursor.execute(*_of_due(_WALLETS, threshold, but_for))
        while rows := cursor.fetchmany(FETCH_CHUNK):
            yield from (_Wallet(*row) for row in rows)


def _whole(wallets: Sequence[_Wallet], most: int) -> Iterator[list[UUID]]:
    """One portion, or none; what passes the limit meanwhile waits for the next poll."""
    rows = _readings(wallets, limit=most + 1) if wallets else []
    if len(rows) > most:
        cut = rows[most][2]
        rows = [row for row in rows if row[2] < cut] or rows[:most]
    if rows:
        yield [id_ for id_, _, _ in rows]


def _divided(wallet: _Wallet, most: int) -> Iterator[list[UUID]]:
    after = _BEGINNING
    while rows := _readings([wallet], limit=most, after=after):
        yield [id_ for id_, _, _ in rows]
        after = rows[-1][1], rows[-1][0]


def _readings(
    wallets: Sequence[_Wallet], *, limit: int, after: tuple[datetime, UUID] = _BEGINNING
) -> list[tuple[UUID, datetime, int]]:
    """Id, end and place of its wallet."""
    due = [(owner, place) for place, wallet in enumerate(wallets) for owner in wallet.owners]
    with connection.cursor() as cursor:
        cursor.execute(
            _READINGS,
            _rules()
            | {
                "owners": [owner for owner, _ in due],
                "places": [place for _, place in due],
                "after_end": after[0],
                "after_id": after[1],
                "limit": limit,
            },
        )
        return list(cursor.fetchall())


def _of_due(
    statement: str, threshold: Decimal, but_for: Collection[UUID]
) -> tuple[str, dict[str, Any]]:
    due = _DUE_BUT_FOR if but_for else _DUE
    return statement.format(due=due), _rules() | {
        "threshold": threshold,
        "but_for": list(but_for),
    }


def _rules() -> dict[str, Any]:
    return {
        "pending": ReadingStatus.PENDING.value,
        "unverified": Verification.UNVERIFIED.value,
        "largest": limits().max_reading_kwh,
    }
