"""A batch's page: progress that costs the same for any size, story, costs, failures, doubts."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from minting.admin.batches.costs import costs
from minting.admin.batches.flights import Flights
from minting.admin.batches.live import duration
from minting.admin.batches.timeline import WAVES
from minting.models import BatchSource, MintApproval, MintBatch, MintingGate, MintResult
from minting.service.stopping import resume_minting, stop_minting
from minting.service.watch.progress import progress_of
from readings.models import MeterReading
from tests.factories.readings import MeterReadingFactory, address, household
from tests.minting.admin import journal
from tests.minting.conftest import minting_chain

__all__ = ["minting_chain"]


def page_of(batch: MintBatch, page: str = "change") -> str:
    return reverse(f"admin:minting_mintbatch_{page}", args=[batch.pk])


def text(client: Client, batch: MintBatch, page: str = "change") -> str:
    answer = client.get(page_of(batch, page))
    assert answer.status_code == 200
    return " ".join(answer.content.decode().split())


def progress(client: Client, batch: MintBatch) -> dict[str, Any]:
    answer = client.get(page_of(batch, "progress"))
    assert answer.status_code == 200
    assert "no-store" in answer.headers["Cache-Control"]
    seen: dict[str, Any] = answer.json()
    return seen


# ------------------------------------------------------------------ progress


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


# ------------------------------------------------------------------ the story


def test_the_story_is_told_in_order(operator: Client, django_user_model):
    batch = journal.minted_batch(readings=2)
    by = django_user_model.objects.get(username="operator")
    made = timezone.now() - timedelta(minutes=10)
    minute = timedelta(minutes=1)
    MintBatch.objects.filter(pk=batch.pk).update(
        created_by=by,
        created_at=made,
        started_at=made + 2 * minute,
        cancel_requested_at=made + 5 * minute,
        finished_at=made + 6 * minute,
    )
    batch.transactions.update(
        signed_at=made + 3 * minute,
        confirmed_at=made + 4 * minute,
        finalized_at=made + 7 * minute,
    )
    stop = stop_minting("the tariff is wrong", by="chief")
    resume_minting(by="chief")
    type(stop).objects.update(stopped_at=made + minute, resumed_at=made + 90 * minute / 60)

    page = text(operator, batch, "details")

    events = [
        "Asked for in the admin by operator",
        "Estimated",
        "Queued",
        "Minting stopped by chief",
        "Minting resumed by chief",
        "Taken up by a worker",
        "First signed",
        "First landing",
        "Cancelled",
        "Every reading has its outcome",
        "Finalized</div>",
    ]
    places = [page.index(each, page.index('class="gt-story"')) for each in events]
    assert places == sorted(places)
    assert "the tariff is wrong" in page
    assert "Nothing was left to cancel: all was signed." in page


def test_the_story_tells_of_the_second_person(viewer: Client, django_user_model):
    batch = journal.open_batch()
    MintBatch.objects.filter(pk=batch.pk).update(status="awaiting_approval")
    asked = MintApproval.objects.create(
        batch=batch,
        why="500 kWh are more than 100",
        fee_cap_lamports=1,
        digest=bytes(32),
        expires_at=timezone.now() + timedelta(hours=72),
    )
    page = text(viewer, batch)
    assert progress(viewer, batch)["values"]["note"] == "It waits for its approval."
    assert "Waits for a second person" in page
    assert "Void, if nobody decides until then" in page
    assert "Queued</div>" not in page
    asked.decided_by = django_user_model.objects.create_user("approver")
    asked.decided_at, asked.decision = timezone.now(), "approved"
    asked.save()
    page = text(viewer, batch)
    assert "Approved by approver" in page
    assert "Queued</div>" in page
    MintApproval.objects.update(decision="refused", reason="the tariff is wrong")
    page = text(viewer, batch, "details")
    assert "Refused by approver" in page
    assert "the tariff is wrong" in page


def test_the_story_of_many_waves_is_bounded(viewer: Client):
    batch = journal.open_batch()
    slice_ = batch.slices.get()
    row = MeterReadingFactory()
    for number in range(3 * WAVES):
        sent = journal.transaction(batch, slice_, [row], status="sent")
        type(sent).objects.filter(pk=sent.pk).update(blockhash=address(f"blockhash {number}"))
    page = text(viewer, batch, "details")
    assert page.count(" signed</div>") == WAVES - 1
    assert f"{2 * WAVES + 1} more waves" in page
    assert f"{2 * WAVES + 1} transactions for {2 * WAVES + 1} readings" in page


def test_a_retry_and_its_origin_lead_to_each_other(viewer: Client):
    first = journal.failed_batch(readings=2)
    again = journal.open_batch()
    MintBatch.objects.filter(pk=again.pk).update(retry_of=first, source=BatchSource.RETRY)
    first_page, again_page = text(viewer, first), text(viewer, again)
    assert page_of(again) in first_page
    assert "Tried again by itself" in first_page
    assert page_of(first) in again_page
    assert "Tried again by itself, as it was due" in again_page


# ------------------------------------------------------------------ costs


NOTHING = Flights(
    signed=0,
    landed=0,
    failed=0,
    expired=0,
    doubtful=0,
    doubted=0,
    open=0,
    first_signed=None,
    first_landed=None,
    last_landed=None,
    last_finalized=None,
    first_failed=None,
    first_doubted=None,
    new_accounts=0,
    wasted=0,
    priority=0,
)


@pytest.mark.parametrize(
    ("batch", "flights", "told"),
    [
        ({"fee_estimate_lamports": None}, {}, ["There is no estimate"]),
        ({}, {"landed": 2, "new_accounts": 1}, ["Paid to the lamport"]),
        ({"status": "running", "fee_paid_lamports": 5_000}, {}, ["Not finished"]),
        (
            {"fee_paid_lamports": 15_000},
            {"failed": 1, "wasted": 5_000, "landed": 2, "new_accounts": 1},
            ["1 transaction landed with an error: 5,000 lamports of fees for nothing"],
        ),
        (
            {"fee_paid_lamports": 15_000},
            {"landed": 3, "new_accounts": 1},
            ["More transactions were needed than planned"],
        ),
        (
            {"rent_paid_lamports": 0},
            {"landed": 2},
            ["0 token accounts were created, fewer than planned"],
        ),
        (
            {"rent_paid_lamports": 4_078_560},
            {"landed": 2, "new_accounts": 2},
            ["2 token accounts were created, more than planned"],
        ),
        (
            {"failed_mints": 1, "fee_paid_lamports": 5_000},
            {"landed": 1, "expired": 1},
            ["1 transaction proven dead", "1 reading ended without tokens"],
        ),
    ],
)
def test_the_difference_to_the_estimate_is_explained(batch, flights, told):
    paid = {"fee_paid_lamports": 10_000, "rent_paid_lamports": 2_039_280}
    estimated = {"fee_estimate_lamports": 10_000, "rent_estimate_lamports": 2_039_280}
    row = MintBatch(**{"status": "succeeded", "total_readings": 2, **paid, **estimated, **batch})
    why = costs(row, replace(NOTHING, **flights))["why"]
    assert len(why) == len(told), why
    for sentence, words in zip(why, told, strict=True):
        assert words in sentence


def test_costs_have_units_and_differences(viewer: Client):
    batch = journal.minted_batch()
    MintBatch.objects.filter(pk=batch.pk).update(fee_paid_lamports=5_000, rent_paid_lamports=0)
    page = text(viewer, batch)
    assert '5,000 lamports<div class="text-subtle text-xs">0.000005 SOL' in page
    assert "-2,039,280 lamports" in page


# ------------------------------------------------------------------ failures


@pytest.fixture
def failed() -> MintBatch:
    """Three that failed of a node, one of a frozen account, one cancelled."""
    batch = journal.failed_batch(readings=0)
    slice_ = batch.slices.get()
    resident = household()
    for code, sentence, more in (
        *[("node_unreachable", "No node answered", {})] * 3,
        ("account_frozen", "The token account is frozen", {"permanent": True}),
    ):
        row = resident.reading(status="failed")
        journal._result(
            batch, slice_, row, status="failed", error_code=code, error=sentence, **more
        )
    free = resident.reading(status="pending")
    words = {"error_code": "cancelled", "error": "Cancelled by chief before anything was signed"}
    journal._result(batch, slice_, free, status="cancelled", **words)
    MintBatch.objects.filter(pk=batch.pk).update(total_readings=5, failed_mints=5)
    batch.refresh_from_db()
    return batch


def test_failures_are_grouped_and_each_says_what_follows(operator: Client, failed: MintBatch):
    due = timezone.now() + timedelta(minutes=5)
    waiting = failed.results.filter(error_code="node_unreachable").first()
    failed.results.filter(pk=waiting.pk).update(retry_at=due)
    page = text(operator, failed)
    assert "No node answered" in page
    assert "1 are tried again by itself, the first at" not in page
    assert "1 of them is tried again by itself" in page
    assert f'datetime="{due:%Y-%m-%dT%H:%M:%S}Z"' in page
    assert "Remove the cause, then retry" in page
    assert "Free: they can be selected anew" in page
    assert page.count("?code=") == 2, "cancelled readings are free anyway"
    assert "Retry 3…" in page


def test_one_reason_is_retried_alone(operator: Client, minting_chain, failed: MintBatch):
    ask = f"{page_of(failed, 'retry')}?code=node_unreachable"
    page = " ".join(operator.get(ask).content.decode().split())
    assert "3 readings failed here with this reason; 3 readings may be minted now" in page
    assert "The token account is frozen" not in page

    operator.post(page_of(failed, "retry"), {"code": "node_unreachable"})

    made = MintBatch.objects.exclude(pk=failed.pk).get()
    assert (made.retry_of, made.total_readings) == (failed, 3)
    assert MeterReading.objects.filter(status="failed").count() == 1, "the frozen one"
    page = text(operator, failed)
    assert "Minted, taken or held by now" in page
    assert "Retry 3…" not in page
    assert "3 readings, queued" in page


def test_nobody_without_the_right_is_offered_a_retry(viewer: Client, failed: MintBatch):
    page = text(viewer, failed)
    assert "No node answered" in page
    assert "?code=" not in page
    assert "Retry failed" not in page


# ------------------------------------------------------------------ cancelling, doubts


def test_cancelling_says_what_it_will_do(operator: Client):
    batch = journal.doubtful_batch()
    for _ in range(3):
        journal._result(batch, batch.slices.get(), status="pending")
    MintBatch.objects.filter(pk=batch.pk).update(total_readings=5, successful_mints=1)
    page = text(operator, batch, "cancel")
    assert "3 readings in no signed transaction: free again" in page
    assert "1 reading in signed transactions: these go their way" in page
    assert "1 reading with an outcome: it stays" in page
    done = text(operator, journal.minted_batch(), "cancel")
    assert "Nothing is left to cancel" in done


def test_a_doubt_is_told_with_its_transaction_and_a_safe_button(operator: Client, viewer: Client):
    batch = journal.doubtful_batch()
    row = batch.transactions.get()
    look = reverse("admin:minting_minttransaction_look", args=[row.pk])
    page = text(operator, batch)
    assert "In doubt: neither landed nor proven dead" in page
    assert row.signature in page
    assert "no node was asked for a proof yet." in page
    assert f'action="{look}"' in page
    assert f'action="{look}"' not in text(viewer, batch)
