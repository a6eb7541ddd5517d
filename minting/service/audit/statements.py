"""Statements for the accountant: what a month minted and cost, in all and owner by owner.

A transaction belongs to the month (UTC) in which the journal noted that it is final
(``finalized_at``). That is written once, by the clock of the database: a month that is over never
changes, and every final transaction, failed ones with their fees too, is in exactly one month.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import NamedTuple

from django.db import connection, transaction

from minting.engine.shares import shares
from readings.corrected import corrected

FETCHED = 1_000
"""Transactions that come from the database at a time."""


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


# Each owner of what became so in the month.
_MINTED = """
SELECT r.user_id, count(*), sum(r.kwh_amount), sum(r.base_units)
  FROM minting_minttransaction t JOIN minting_mintresult r ON r.transaction_id = t.id
 WHERE t.status = %(status)s AND t.{moment} >= %(since)s AND t.{moment} < %(until)s
 GROUP BY r.user_id
"""

# A row a transaction: what it cost, its owners in the order of their ids, how many readings of each
# it pays, and who had a token account that was missing when the batch was planned. The results of
# one that failed were released: those that its bytes would have paid bear the fee.
_COSTS = """
WITH part AS (
    SELECT t.id, r.user_id COLLATE "C" AS owner, count(*) AS readings,
           bool_or(r.account_held IS NOT NULL AND NOT r.rent_elsewhere)::int AS opened
      FROM minting_minttransaction t JOIN minting_mintresult r ON r.transaction_id = t.id
     WHERE t.status = %(status)s AND t.{moment} >= %(since)s AND t.{moment} < %(until)s
     GROUP BY t.id, owner
    UNION ALL
    SELECT t.id, r.user_id COLLATE "C", count(*), 0
      FROM minting_minttransaction t
      JOIN minting_mintresult r ON r.batch_id = t.batch_id AND r.reading_id = ANY(t.reading_ids)
     WHERE t.status = 'failed' AND %(status)s = 'finalized'
       AND t.finalized_at >= %(since)s AND t.finalized_at < %(until)s
     GROUP BY t.id, r.user_id
), together AS (
    SELECT id, array_agg(owner ORDER BY owner) AS owners,
           array_agg(readings ORDER BY owner) AS readings,
           array_agg(opened ORDER BY owner) AS opened
      FROM part GROUP BY id
)
SELECT t.status = 'failed', t.network_fee_lamports, t.priority_fee_lamports,
       CASE WHEN t.status = 'failed' THEN 0 ELSE t.rent_lamports END,
       together.owners, together.readings, together.opened
  FROM together JOIN minting_minttransaction t USING (id)
"""


class _Cost(NamedTuple):
    """One transaction; a place in the lists is an owner."""

    failed: bool
    network_fee: int
    priority_fee: int
    rent: int
    owners: list[str]
    readings: list[int]
    opened: list[int]


class _Lines(dict[str, Line]):
    """By owner; made when they are first asked for."""

    def __missing__(self, owner: str) -> Line:
        line = self[owner] = Line(owner)
        return line


def statement(month: date) -> Statement:
    """The statement of a month, from one snapshot of the tables.

    Args:
        month: Any day of it.
    """
    since, until = _bounds(month)
    with transaction.atomic(), connection.cursor() as sql:
        sql.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        lines, counts = _paid("finalized", "finalized_at", since, until)
        confirmed, _ = _paid("confirmed", "confirmed_at", since, until)
        for each in corrected(since, until):
            line = lines[each.owner]
            line.corrections, line.corrected_kwh = each.count, each.kwh
    owners = [lines[owner] for owner in sorted(lines)]
    return Statement(
        month=since.date(),
        total=_summed(owners),
        owners=owners,
        transactions=counts.total(),
        failed=counts[True],
        provisional=_summed(confirmed.values()),
    )


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


def _paid(
    status: str, moment: str, since: datetime, until: datetime
) -> tuple[_Lines, Counter[bool]]:
    """What each owner got and bears, and how many transactions failed and did not."""
    values: dict[str, str | datetime] = {"status": status, "since": since, "until": until}
    lines, counts = _Lines(), Counter[bool]()
    with connection.cursor() as sql:
        sql.execute(_MINTED.format(moment=moment), values)
        for owner, readings, kwh, units in sql.fetchall():
            lines[owner] = Line(owner, readings, kwh, int(units))
    with connection.chunked_cursor() as sql:
        sql.execute(_COSTS.format(moment=moment), values)
        for page in iter(lambda: sql.fetchmany(FETCHED), []):
            for row in page:
                cost = _Cost(*row)
                counts[cost.failed] += 1
                _divide(cost, lines)
    return lines, counts


def _divide(cost: _Cost, lines: _Lines) -> None:
    """A transaction's cost among its owners.

    Fees in proportion to readings. Rent among the owners of accounts that were missing, or, where
    the journal does not tell (a transaction that was adopted), as the fees.
    """
    opened = cost.opened if any(cost.opened) else cost.readings
    for name, whole, weights in (
        ("network_fee", cost.network_fee, cost.readings),
        ("priority_fee", cost.priority_fee, cost.readings),
        ("rent", cost.rent, opened),
    ):
        if not whole:
            continue
        for owner, part in zip(cost.owners, shares(whole, weights), strict=True):
            line = lines[owner]
            setattr(line, name, getattr(line, name) + part)


def _summed(lines: Iterable[Line]) -> Line:
    total = Line()
    for line in lines:
        total.add(line)
    return total


def _bounds(month: date) -> tuple[datetime, datetime]:
    start = month.replace(day=1)
    end = _next(start)
    return (
        datetime(start.year, start.month, 1, tzinfo=UTC),
        datetime(end.year, end.month, 1, tzinfo=UTC),
    )


def _next(month: date) -> date:
    return date(month.year + month.month // 12, month.month % 12 + 1, 1)
