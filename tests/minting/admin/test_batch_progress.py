"""How far a batch is: told at the same cost for any size."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from minting.admin.batches.live import duration
from minting.models import MintBatch, MintingGate, MintResult
from minting.service.stopping import resume_minting, stop_minting
from minting.service.watch.progress import progress_of
from tests.factories.readings import MeterReadingFactory
from tests.minting.admin import journal
from tests.minting.admin.batch_pages import page_of


def progress(client: Client, batch: MintBatch) -> dict[str, Any]:
    answer = client.get(page_of(batch, "progress"))
    assert answer.status_code == 200
    assert "no-store" in answer.headers["Cache-Control"]
    seen: dict[str, Any] = answer.json()
    return seen


def test_progress_counts_no_results_however_many_there_are(viewer: Client):
    def asked(batch: MintBatch) -> list[str]:
        progress(viewer, batch)
        with CaptureQueriesContext(connection) as queries:
            progress(viewer, batch)
        return [query["sql"] for query in queries]

    few = journal.doubtful_batch()
    many = journal.doubtful_batch()
    slice_ = many.slices.get()
    rows = [MeterReadingFactory(status="minting") for _ in range(30)]
    for row in rows:
        journal._result(many, slice_, row, status="pending")
        journal.transaction(many, slice_, [row], status="sent")
    MintBatch.objects.filter(pk__in=[few.pk, many.pk]).update(started_at=timezone.now())
    MintBatch.objects.filter(pk=many.pk).update(total_readings=31)

    statements = asked(many)

    assert len(statements) == len(asked(few))
    assert len(statements) <= 12, statements
    assert not any(MintResult._meta.db_table in each for each in statements)
    # What a batch left out may be as long as the batch.
    assert not any("excluded" in each for each in statements)


def test_progress_tells_transactions_by_all_that_they_were(viewer: Client):
    batch = journal.minted_batch(readings=2)
    slice_ = batch.slices.get()
    for status, more in (
        ("signed", {}),
        ("sent", {}),
        ("confirmed", {"slot": 6}),
        ("failed", {"slot": 7, "error": "custom"}),
        ("expired", {"evidence": {}}),
    ):
        journal.transaction(batch, slice_, [], status=status, **more)

    seen = progress(viewer, batch)

    names = ("signed", "sent", "confirmed", "finalized", "unlucky")
    assert [seen["values"][name] for name in names] == [
        "6",
        "5",
        "2",
        "1",
        "1 landed with an error, 1 proven dead",
    ]
    assert not seen["over"], "three of them may still change"
    assert "3 transactions are not final yet" in seen["values"]["note"]


def test_progress_ends_when_nothing_can_change(viewer: Client):
    seen = progress(viewer, journal.minted_batch(readings=2))
    assert (seen["over"], seen["done"], seen["bars"]["minted"]) == (True, 100, 100.0)
    assert seen["sentence"] == "2 of 2 readings done: 2 minted"
    seen = progress(viewer, journal.failed_batch(readings=2))
    assert (seen["over"], seen["bars"]) == (True, {"minted": 0.0, "failed": 100.0, "doubt": 0.0})


def test_progress_tells_doubts_apart_from_what_is_open(viewer: Client):
    batch = journal.doubtful_batch()
    before = progress(viewer, batch)
    assert (before["values"]["doubt"], before["values"]["open"]) == ("1", "0")
    batch.transactions.update(status="finalized", slot=5)
    assert progress(viewer, batch)["version"] != before["version"]


def test_pace_and_end_follow_from_the_last_minute(db: None):
    batch = journal.open_batch(readings=100)
    now = timezone.now()
    MintBatch.objects.filter(pk=batch.pk).update(
        status="running", started_at=now - timedelta(minutes=9), successful_mints=60
    )
    rows = [MeterReadingFactory(status="minted") for _ in range(20)]
    slice_ = batch.slices.get()
    for landed_at in (now, now - timedelta(minutes=5)):
        journal.transaction(batch, slice_, rows, status="confirmed", slot=5, confirmed_at=landed_at)
    batch.refresh_from_db()

    seen = progress_of(batch)

    assert seen.per_minute == 20, "only what landed in the last minute counts"
    assert seen.expected_end is not None
    assert round((seen.expected_end - now).total_seconds() / 60) == 2
    MintBatch.objects.filter(pk=batch.pk).update(successful_mints=100)
    batch.refresh_from_db()
    assert progress_of(batch).expected_end is None


def test_what_stands_in_the_way_is_told(viewer: Client):
    batch = journal.open_batch()

    def note() -> str:
        told: str = progress(viewer, batch)["values"]["note"]
        return told

    assert note() == "It waits for a worker."
    stop_minting("the tariff is wrong", by="chief")
    assert "Minting is stopped (the tariff is wrong)" in note()
    resume_minting(by="chief")
    gate = MintingGate.objects.create(closed_since=timezone.now(), reason="The supply is too high.")
    assert note() == "Nothing is signed: The supply is too high."
    gate.delete()
    batch.slices.update(
        parked_until=timezone.now() + timedelta(minutes=10), parked_reason="5 workers died of it."
    )
    assert "5 workers died of it." in note()


def test_only_who_may_see_batches_may_ask(staff):
    batch = journal.open_batch()
    clerk = staff("clerk", "readings.view_meterreading")
    for page in ("progress", "details"):
        assert clerk.get(page_of(batch, page)).status_code == 403
        assert Client().get(page_of(batch, page)).status_code == 302


def test_lengths_are_told_roughly():
    lengths = [duration(timedelta(seconds=each)) for each in (0, 59, 60, 5_399, 5_400, 200_000)]
    assert lengths == ["1 second", "59 seconds", "1 minute", "90 minutes", "2 hours", "2 days"]
