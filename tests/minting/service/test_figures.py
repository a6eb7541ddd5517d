"""The dashboard's numbers: of the tables, by day; what is left of the SOL."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from minting.models import MintBatch, MintResult, MintTransaction
from minting.models.fields import first_id_since
from minting.service.watch import figures
from minting.service.watch.figures import Day, RecentCost
from minting.service.watch.keeping import Kept
from minting.service.watch.runway import runway
from readings.backlog import Amount, piles, total
from readings.models import MeterReading
from readings.rules import ReadingStatus
from tests.factories.readings import household, outsider
from tests.minting.admin import journal

TODAY = datetime.now(UTC).date()


@pytest.mark.django_db
class TestTables:
    def test_what_waits_is_counted_by_status_and_reason(self):
        resident, stranger = household(), outsider()
        for _ in range(3):
            resident.reading()
        stranger.reading(status="held", code="no_wallet")
        stranger.reading(status="held", code="unverified")
        resident.reading(status="minted")
        resident.reading(status="not_minted", code="consumption")
        heap = piles()
        assert total(heap, ReadingStatus.PENDING) == Amount(3, Decimal("0.75"))
        assert total(heap, ReadingStatus.HELD).readings == 2
        assert {(each.status, each.code) for each in heap} == {
            (ReadingStatus.PENDING, ""),
            (ReadingStatus.HELD, "no_wallet"),
            (ReadingStatus.HELD, "unverified"),
        }
        assert total(heap, ReadingStatus.FAILED) == Amount()

    def test_the_index_alone_answers(self):
        # What a planner prefers in a small table says nothing: this index can, without the others.
        others = {index.name for index in MeterReading._meta.indexes} - {"reading_backlog"}
        with connection.cursor() as cursor:
            for name in others:
                cursor.execute(f"DROP INDEX {name}")  # until the test's transaction is rolled back
            cursor.execute("SET LOCAL enable_seqscan = off")
            cursor.execute("SET LOCAL enable_bitmapscan = off")
        with CaptureQueriesContext(connection) as asked:
            piles()
        with connection.cursor() as cursor:
            cursor.execute(f"EXPLAIN {asked[0]['sql']}")
            plan = "\n".join(row for (row,) in cursor.fetchall())
        assert "Index Only Scan using reading_backlog" in plan

    def test_days_are_those_of_signing_and_of_giving_up(self):
        late = journal.minted_batch(readings=3)
        _sign_again(late, timezone.now() - timedelta(days=2), rent=2_039_280)
        _sign_again(journal.minted_batch(readings=5), timezone.now() - timedelta(days=400))
        journal.minted_batch(readings=2)
        journal.minted_batch(readings=4)
        failed = journal.failed_batch(readings=2)
        MintResult.objects.filter(batch=failed).update(settled_at=timezone.now())

        days = {day.day: day for day in figures._days(30)}

        assert list(days) == [TODAY - timedelta(days=29 - each) for each in range(30)]
        # The dead transaction of the failed batch paid nobody, and cost nothing.
        assert days[TODAY] == Day(TODAY, 2, 6, 1_500_000_000, failed=2, fees=10_000, rent=0)
        before = TODAY - timedelta(days=2)
        assert days[before] == Day(before, 1, 3, 750_000_000, 0, fees=5_000, rent=2_039_280)
        assert days[before].spent == 2_044_280
        assert sum(day.readings for day in days.values()) == 9
        assert figures._days(1) == (days[TODAY],)

    def test_what_landed_with_an_error_costs_its_fee(self):
        batch = journal.failed_batch()
        MintTransaction.objects.filter(batch=batch).update(
            status="failed", slot=5, error={"InstructionError": [0, {"Custom": 17}]}
        )
        today = figures._days(1)[0]
        assert (today.transactions, today.readings, today.fees, today.rent) == (0, 0, 5_000, 0)

    def test_recent_cost_is_of_what_landed(self):
        assert figures.recent_cost() == RecentCost(0, 0, 0, None)
        journal.minted_batch(readings=7)
        journal.failed_batch(readings=3)
        cost = figures.recent_cost()
        assert (cost.transactions, cost.readings, cost.lamports) == (1, 7, 5_000)
        assert cost.since is not None

    def test_open_batches_and_doubts_are_few_and_counted(self):
        for _ in range(figures.SHOWN + 2):
            journal.open_batch()
        doubtful = journal.doubtful_batch()
        journal.minted_batch()
        running = figures.open_batches()
        assert (len(running.batches), running.count) == (figures.SHOWN, figures.SHOWN + 3)
        assert running.batches[0] == doubtful
        assert figures.doubts().transactions == (doubtful.transactions.get(),)


def _sign_again(batch: MintBatch, moment: datetime, *, rent: int = 0) -> None:
    """Lets a batch's transaction have been signed then; its id says so too."""
    row = batch.transactions.get()
    old, row.pk = row.pk, first_id_since(moment)
    row.signature = f"another {moment:%s}"
    row.rent_lamports = rent
    row.save(force_insert=True)
    MintTransaction.objects.filter(pk=row.pk).update(signed_at=moment)
    MintResult.objects.filter(transaction=old).update(transaction=row.pk)
    MintTransaction.objects.filter(pk=old).delete()


# ------------------------------------------------------------------ pure


def days(*spent: int) -> list[Day]:
    return [Day(date(2026, 1, 1) + timedelta(days=at), fees=fees) for at, fees in enumerate(spent)]


def test_the_runway_is_what_can_be_spent_at_what_was_paid():
    cost = RecentCost(transactions=2, readings=100, lamports=10_000, since=None)
    left = runway(1_000_000, 890_880, cost, days(700, 0, 0, 0, 0, 0, 0, 999_999))
    assert (left.lamports, left.readings) == (109_120, 1_091)
    assert left.days == 1_091  # 700 in seven days; today is not over and does not count


def test_the_runway_rounds_down_and_never_below_nothing():
    cost = RecentCost(1, 3, 5_000, None)
    assert runway(4_999, 0, cost, days(1)).readings == 2
    assert runway(890_879, 890_880, cost, days(0, 0)).readings == 0
    assert runway(0, 890_880, cost, days(0, 0)).lamports == 0


def test_before_the_first_mint_nothing_is_foretold():
    left = runway(10**9, 890_880, RecentCost(0, 0, 0, None), days(0, 0, 0))
    assert (left.readings, left.days) == (None, None)


def test_what_took_long_is_kept_for_longer(monkeypatch: pytest.MonkeyPatch):
    clock = [100.0]
    monkeypatch.setattr("minting.service.watch.keeping.time.monotonic", lambda: clock[0])
    calls: list[float] = []

    def slow() -> int:
        clock[0] += 0.5
        calls.append(clock[0])
        return len(calls)

    kept = Kept(slow)
    assert [kept.get(), kept.get()] == [1, 1]
    clock[0] += 9.9
    assert kept.get() == 1
    clock[0] += 0.2
    assert kept.get() == 2
