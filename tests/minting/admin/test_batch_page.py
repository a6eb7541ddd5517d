"""A batch's page: costs, failures, cancelling, doubts."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from minting.admin.batches.costs import costs
from minting.admin.batches.flights import Flights
from minting.models import MintBatch
from readings.models import MeterReading
from tests.factories.readings import household
from tests.minting.admin import journal
from tests.minting.admin.batch_pages import page_of, text
from tests.minting.conftest import minting_chain

__all__ = ["minting_chain"]

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
