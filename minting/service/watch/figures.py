"""What the tables say of the whole: what waits, what was minted and paid, what needs a person.

Every question is answered by an index or a stored count, and none grows with what was minted in
other months (docs/lists.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from django.db import connection
from django.utils import timezone

from minting.engine.states import FINAL_BATCHES, BatchStatus
from minting.models import (
    MintBatch,
    MintingGate,
    MintSlice,
    MintTransaction,
    ReconcileFinding,
    ReconcileRun,
    RunStatus,
)
from minting.models.fields import first_id_since
from minting.service.drive.doubt import IN_DOUBT
from minting.service.watch.keeping import Kept
from readings.backlog import Pile, piles

DAYS = 30
"""Of the charts; days are UTC's, as those of ``MINT_MAX_KWH_PER_DAY`` are."""

WAITED = timedelta(days=30)
"""What a result may wait before it fails, and is still counted as failed."""

SHOWN = 8
"""Rows of a list that leads on to the whole."""

LATELY = 200
"""Transactions that tell what minting costs just now."""

# Ids are UUIDv7: the primary key finds the transactions of a month, however many years there are.
_DAYS = """
SELECT (signed_at AT TIME ZONE 'UTC')::date,
       count(*) FILTER (WHERE landed),
       coalesce(sum(cardinality(reading_ids)) FILTER (WHERE landed), 0),
       coalesce(sum(base_units) FILTER (WHERE landed), 0),
       coalesce(sum(network_fee_lamports + priority_fee_lamports)
                FILTER (WHERE landed OR status = 'failed'), 0),
       coalesce(sum(rent_lamports) FILTER (WHERE landed), 0)
  FROM (SELECT *, status IN ('confirmed', 'finalized') AS landed
          FROM minting_minttransaction WHERE id >= %s) AS recent
 GROUP BY 1
"""

_FAILURES = """
SELECT (settled_at AT TIME ZONE 'UTC')::date, count(*)
  FROM minting_mintresult
 WHERE status = 'failed' AND id >= %s AND settled_at >= %s
 GROUP BY 1
"""

_LATELY = """
SELECT count(*), coalesce(sum(cardinality(reading_ids)), 0),
       coalesce(sum(network_fee_lamports + priority_fee_lamports + rent_lamports), 0),
       min(signed_at)
  FROM (SELECT * FROM minting_minttransaction
         WHERE status IN ('confirmed', 'finalized') ORDER BY id DESC LIMIT %s) AS latest
"""


@dataclass(frozen=True, slots=True)
class Day:
    """What was minted, failed and paid on one day (UTC), by when it was signed or given up."""

    day: date
    transactions: int = 0
    """Landed without error."""
    readings: int = 0
    """Paid by these."""
    base_units: int = 0
    failed: int = 0
    """Results that ended so; a reading may fail, be retried, and be minted."""
    fees: int = 0
    """Lamports, network and priority; also for what landed with an error."""
    rent: int = 0
    """Lamports of the token accounts that were created."""

    @property
    def spent(self) -> int:
        """Lamports in all."""
        return self.fees + self.rent


@dataclass(frozen=True, slots=True)
class RecentCost:
    """What the last transactions cost and paid."""

    transactions: int
    readings: int
    lamports: int
    """Fees and rent."""
    since: datetime | None
    """When the first of them was signed."""


@dataclass(frozen=True, slots=True)
class Open:
    """Batches that are not over, the newest first."""

    batches: tuple[MintBatch, ...]
    count: int


@dataclass(frozen=True, slots=True)
class Doubts:
    """Transactions in doubt, the oldest first."""

    transactions: tuple[MintTransaction, ...]
    count: int


@dataclass(frozen=True, slots=True)
class Concerns:
    """What stands still until somebody looks."""

    differences: int
    """Between chain and journal, neither gone nor explained."""
    gate: str
    """Why nothing is signed; empty while the gate is open."""
    parked: tuple[MintSlice, ...]


def backlog() -> list[Pile]:
    """Readings that are not finished, by status and code."""
    return _backlog.get()


def month() -> tuple[Day, ...]:
    """The last ``DAYS`` days, today the last."""
    return _month.get()


def today() -> Day:
    """Since midnight UTC."""
    return _today.get()


def recent_cost() -> RecentCost:
    """What minting costs just now."""
    with connection.cursor() as cursor:
        cursor.execute(_LATELY, [LATELY])
        transactions, readings, lamports, since = cursor.fetchone()
    return RecentCost(transactions, int(readings), int(lamports), since)


def forget() -> None:
    """Whatever is kept is computed anew when it is asked for next."""
    for each in (_backlog, _month, _today):
        each.forget()


def open_batches() -> Open:
    """What is queued, waits for approval, or runs."""
    batches = MintBatch.objects.filter(
        status__in=[each.value for each in BatchStatus if each not in FINAL_BATCHES]
    )
    shown = batches.select_related("created_by").defer("excluded")[:SHOWN]
    return Open(tuple(shown), batches.count())


def doubts() -> Doubts:
    """What neither landed nor is proven dead, past its time."""
    doubtful = MintTransaction.objects.filter(IN_DOUBT).order_by("id")
    shown = doubtful.defer("raw", "evidence", "error")[:SHOWN]
    return Doubts(tuple(shown), doubtful.count())


def concerns() -> Concerns:
    """Differences, the gate, and what workers died of."""
    differences = ReconcileFinding.objects.filter(
        resolved_at__isnull=True, acknowledged_at__isnull=True
    )
    gate = MintingGate.objects.filter(closed_since__isnull=False).first()
    return Concerns(
        differences.count(),
        gate.reason if gate else "",
        tuple(MintSlice.objects.parked().order_by("id")[:SHOWN]),
    )


def compared_at() -> datetime | None:
    """When chain and journal were last compared; while they never were, when that was first tried.

    ``None``: there was nothing to compare yet.
    """
    runs = ReconcileRun.objects.order_by("id")
    done = runs.filter(status__in=[RunStatus.CLEAN, RunStatus.DIFFERENCES]).last()
    if done is not None:
        return done.finished_at
    first = runs.first()
    return first.started_at if first else None


def _days(count: int) -> tuple[Day, ...]:
    last = timezone.now().astimezone(UTC).date()
    first = last - timedelta(days=count - 1)
    midnight = datetime.combine(first, time(), UTC)
    with connection.cursor() as cursor:
        cursor.execute(_DAYS, [first_id_since(midnight)])
        minted = {day: numbers for day, *numbers in cursor.fetchall()}
        # A result is as old as its batch, which may wait as long as minting is stopped.
        cursor.execute(_FAILURES, [first_id_since(midnight - WAITED), midnight])
        failed = dict(cursor.fetchall())
    return tuple(_day(first + timedelta(days=each), minted, failed) for each in range(count))


def _day(day: date, minted: dict[date, Sequence[int]], failed: dict[date, int]) -> Day:
    transactions, readings, base_units, fees, rent = map(int, minted.get(day, (0,) * 5))
    return Day(day, transactions, readings, base_units, failed.get(day, 0), fees, rent)


_backlog = Kept(piles)
_month = Kept(lambda: _days(DAYS))
_today = Kept(lambda: _days(1)[0])
