"""Statements for the accountant: what a month minted and cost, in all and owner by owner.

A transaction belongs to the month (UTC) in which the journal noted that it is final
(``finalized_at``). That is written once, by the clock of the database: a month that is over never
changes, and every final transaction, failed ones with their fees too, is in exactly one month.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import groupby
from typing import NamedTuple
from uuid import UUID

from django.db import connection, transaction

from minting.engine.shares import shares
from readings.corrected import corrected

FETCHED = 5_000
"""Rows of the database's cursor at a time."""


@dataclass(slots=True)
class Line:
    """What one owner, or all of them, got and cost. Base units, lamports."""

    owner: str = ""
    readings: int = 0
    kwh: Decimal = Decimal(0)
    base_units: int = 0
    network_fee: int = 0
    priority_fee: int = 0
    rent: int = 0
    corrections: int = 0
    corrected_kwh: Decimal = Decimal(0)
    """Recorded after minting; never minted or clawed back."""

    def add(self, other: Line) -> None:
        """Counts another line into this one."""
        for each in fields(self)[1:]:
            setattr(self, each.name, getattr(self, each.name) + getattr(other, each.name))

    @property
    def fees(self) -> int:
        """Network and priority fee."""
        return self.network_fee + self.priority_fee

    @property
    def paid(self) -> int:
        """All lamports."""
        return self.fees + self.rent


@dataclass(frozen=True, slots=True)
class Statement:
    """One month (UTC)."""

    month: date
    """Its first day."""
    total: Line
    owners: Sequence[Line]
    """In the order of their ids; they add up to ``total``."""
    transactions: int
    failed: int
    """Of these: landed with an error, which costs the fee and mints nothing."""
    provisional: Line
    """Confirmed in this month and not final yet; not in ``total``."""


class _Part(NamedTuple):
    """What one transaction paid one owner."""

    transaction: UUID
    owner: str
    readings: int
    kwh: Decimal
    base_units: Decimal
    opened: int
    """1 where a token account of theirs was missing when the batch was planned."""
    failed: bool
    network_fee: int
    priority_fee: int
    rent: int


# Results of failed transactions were released: what their bytes would have paid bears the fee.
_PARTS = """
SELECT t.id, r.user_id, count(*), sum(r.kwh_amount), sum(r.base_units),
       bool_or(r.account_held IS NOT NULL AND NOT r.rent_elsewhere)::int, false,
       t.network_fee_lamports, t.priority_fee_lamports, t.rent_lamports
  FROM minting_minttransaction t JOIN minting_mintresult r ON r.transaction_id = t.id
 WHERE t.status = %(status)s AND {moment} >= %(since)s AND {moment} < %(until)s
 GROUP BY t.id, r.user_id
UNION ALL
SELECT t.id, r.user_id, count(*), 0, 0, 0, true,
       t.network_fee_lamports, t.priority_fee_lamports, 0
  FROM minting_minttransaction t
  JOIN minting_mintresult r ON r.batch_id = t.batch_id AND r.reading_id = ANY(t.reading_ids)
 WHERE t.status = 'failed' AND %(status)s = 'finalized'
   AND t.finalized_at >= %(since)s AND t.finalized_at < %(until)s
 GROUP BY t.id, r.user_id
 ORDER BY 1, 2
"""


def statement(month: date) -> Statement:
    """The statement of a month, from one snapshot of the tables.

    Args:
        month: Any day of it.
    """
    since, until = _bounds(month)
    lines: dict[str, Line] = {}
    counts = [0, 0]
    with transaction.atomic(), connection.cursor() as sql:
        sql.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        for parts in _transactions("finalized", "t.finalized_at", since, until):
            counts[parts[0].failed] += 1
            for line in _divided(parts):
                lines.setdefault(line.owner, Line(line.owner)).add(line)
        provisional = Line()
        for parts in _transactions("confirmed", "t.confirmed_at", since, until):
            for line in _divided(parts):
                provisional.add(line)
        for each in corrected(since, until):
            line = Line(each.owner, corrections=each.count, corrected_kwh=each.kwh)
            lines.setdefault(each.owner, Line(each.owner)).add(line)
    total = Line()
    for line in lines.values():
        total.add(line)
    owners = [lines[owner] for owner in sorted(lines)]
    return Statement(since.date(), total, owners, sum(counts), counts[True], provisional)


def months() -> list[date]:
    """The months that have a statement, the newest first: from the first final one to this one."""
    with connection.cursor() as sql:
        sql.execute("SELECT min(finalized_at) FROM minting_minttransaction")
        (first,) = sql.fetchone()
    month = datetime.now(UTC).date().replace(day=1)
    start = (first.astimezone(UTC).date() if first else month).replace(day=1)
    found = [start]
    while found[-1] < month:
        found.append(_next(found[-1]))
    return found[::-1]


def _transactions(
    status: str, moment: str, since: datetime, until: datetime
) -> Iterator[list[_Part]]:
    """Each transaction's parts; a page of them in memory at a time."""
    query = _PARTS.format(moment=moment)
    values = {"status": status, "since": since, "until": until}
    with connection.chunked_cursor() as sql:
        sql.execute(query, values)
        rows = (_Part(*row) for page in iter(lambda: sql.fetchmany(FETCHED), []) for row in page)
        for _, parts in groupby(rows, key=lambda part: part.transaction):
            yield list(parts)


def _divided(parts: Sequence[_Part]) -> Iterator[Line]:
    """A transaction's cost among its owners.

    Fees in proportion to readings. Rent among the owners of accounts that were missing, or, where
    the journal does not tell (a transaction that was adopted), as the fees.
    """
    first, readings = parts[0], [part.readings for part in parts]
    opened = [part.opened for part in parts]
    network = shares(first.network_fee, readings)
    priority = shares(first.priority_fee, readings)
    rent = shares(first.rent, opened if any(opened) else readings)
    for part, *paid in zip(parts, network, priority, rent, strict=True):
        minted = 0 if part.failed else part.readings
        yield Line(part.owner, minted, part.kwh, int(part.base_units), *paid)


def _bounds(month: date) -> tuple[datetime, datetime]:
    start = month.replace(day=1)
    end = _next(start)
    return (
        datetime(start.year, start.month, 1, tzinfo=UTC),
        datetime(end.year, end.month, 1, tzinfo=UTC),
    )


def _next(month: date) -> date:
    return date(month.year + month.month // 12, month.month % 12 + 1, 1)
