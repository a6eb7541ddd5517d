"""What happened to a batch, in order: its story."""

from __future__ import annotations

from datetime import timedelta

from django.test import Client
from django.utils import timezone

from minting.admin.batches.timeline import WAVES
from minting.models import BatchSource, MintApproval, MintBatch
from minting.service.stopping import resume_minting, stop_minting
from tests.factories.readings import MeterReadingFactory, address
from tests.minting.admin import journal
from tests.minting.admin.batch_pages import page_of, text


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
    told = viewer.get(page_of(batch, "progress")).json()
    assert told["values"]["note"] == "It waits for its approval."
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
