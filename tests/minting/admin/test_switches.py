"""Stop minting, retry what failed, look again at what is in doubt: buttons that ask once."""

from __future__ import annotations

from copy import deepcopy
from datetime import timedelta
from decimal import Decimal
from unittest.mock import patch

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from minting.engine.errors import NodeUnreachable
from minting.models import MintBatch, MintingGate, MintingStop, MintTransaction
from minting.service.drive import doubt
from minting.service.drive.doubt import doubt_of
from minting.service.stopping import resume_minting, standing_stop, stop_minting
from readings.models import MeterReading
from tests.factories.readings import household
from tests.minting.admin import journal
from tests.minting.admin.conftest import VIEWS, Staff
from tests.minting.conftest import minting_chain

__all__ = ["minting_chain"]

STOPS = reverse("admin:minting_mintingstop_changelist")
STOP = reverse("admin:minting_mintingstop_stop")
RESUME = reverse("admin:minting_mintingstop_resume")
TRANSACTIONS = reverse("admin:minting_minttransaction_changelist")


@pytest.fixture
def chief(staff: Staff) -> Client:
    """May stop and resume."""
    rights = ("minting.stop_minting", "minting.resume_minting")
    return staff("chief", *VIEWS, "minting.view_mintingstop", *rights)


def text(client: Client, url: str) -> str:
    answer = client.get(url)
    assert answer.status_code == 200
    return answer.content.decode()


def resume(client: Client, shown: MintingStop) -> str:
    """What is told to who was shown this stop and resumes."""
    return client.post(RESUME, {"row": str(shown.pk)}, follow=True).content.decode()


# ------------------------------------------------------------------ the switch


def test_minting_is_stopped_with_a_reason_and_resumed(chief: Client):
    assert "Stop minting…" in text(chief, STOPS)
    assert "Stop all minting?" in text(chief, STOP)
    assert not MintingStop.objects.exists()
    assert "This field is required" in chief.post(STOP, {"reason": " "}).content.decode()
    assert not MintingStop.objects.exists()

    page = chief.post(STOP, {"reason": "the tariff is wrong"}, follow=True).content.decode()
    assert "by chief since" in page, "it leads to the dashboard, which shows the stop"

    stop = MintingStop.objects.get()
    assert (stop.reason, stop.stopped_by) == ("the tariff is wrong", "chief")
    assert "Resume minting…" in page
    assert "Resume minting…" in text(chief, STOPS)
    assert "Resume minting?" in text(chief, RESUME)
    assert "Stopped by chief since" in text(chief, RESUME)
    assert "Minting goes on." in resume(chief, stop)
    stop.refresh_from_db()
    assert (stop.resumed_by, stop.resumed_at is None) == ("chief", False)
    assert "Minting was not stopped." in resume(chief, stop)
    row = reverse("admin:minting_mintingstop_change", args=[stop.pk])
    assert "the tariff is wrong" in text(chief, row)


def test_who_resumes_ends_no_stop_but_the_one_shown(chief: Client):
    """Left open in another tab, while somebody resumed and somebody stopped again."""
    shown = stop_minting("drill", by="chief")
    resume_minting(by="another")
    since = stop_minting("a key was stolen", by="another")
    for form in ({"row": str(shown.pk)}, {}):
        page = chief.post(RESUME, form, follow=True).content.decode()
        assert "what stands is not what you were shown" in page
        assert "a key was stolen" in page, "it is asked anew"
    assert standing_stop() == since
    assert resume_minting(by="chief", only=shown.pk) is None


def test_who_stops_what_is_stopped_is_told(chief: Client):
    stop_minting("a key was stolen", by="another")
    for answer in (chief.get(STOP, follow=True), chief.post(STOP, {"reason": "x"}, follow=True)):
        page = answer.content.decode()
        assert "Minting was stopped already. Stopped by another since" in page
    assert MintingStop.objects.get().reason == "a key was stolen"


@pytest.mark.parametrize("page", [TRANSACTIONS, reverse("admin:minting_mintbatch_changelist")])
def test_everybody_sees_that_minting_is_stopped(viewer: Client, page: str):
    assert "Minting is stopped" not in text(viewer, page)
    stop_minting("the tariff is wrong", by="chief")
    assert "Minting is stopped" in text(viewer, page)
    assert "the tariff is wrong" in text(viewer, page)


def test_a_batch_s_page_shows_it_too(viewer: Client):
    stop_minting("the tariff is wrong", by="chief")
    page = reverse("admin:minting_mintbatch_change", args=[journal.open_batch().pk])
    assert "Minting is stopped" in text(viewer, page)


def test_the_dashboard_does_not_say_on_while_the_gate_is_closed(viewer: Client):
    assert "Minting is on" in text(viewer, reverse("admin:index"))
    MintingGate.objects.create(closed_since=timezone.now(), reason="The supply is too high.")
    page = text(viewer, reverse("admin:index"))
    assert "Minting waits" in page
    assert "Nothing is signed: The supply is too high." in page
    assert "Minting is on" not in page


def test_stopping_needs_its_own_right(operator: Client):
    for page in (STOP, RESUME):
        assert operator.get(page).status_code == 403
        assert operator.post(page, {"reason": "because"}).status_code == 403
    assert not MintingStop.objects.exists()


def test_who_may_stop_may_not_resume_for_that(staff: Staff):
    brakeman = staff("brakeman", *VIEWS, "minting.view_mintingstop", "minting.stop_minting")
    brakeman.post(STOP, {"reason": "the tariff is wrong"})
    for page in (STOPS, reverse("admin:index")):
        assert "Resume minting…" not in text(brakeman, page)
        assert "Stop minting…" not in text(brakeman, page)
    assert brakeman.get(RESUME).status_code == 403
    assert brakeman.post(RESUME).status_code == 403
    assert MintingStop.objects.get().resumed_at is None


def test_a_limit_s_stop_says_what_going_on_means(chief: Client):
    stop_minting("too much", by="MINT_MAX_KWH_PER_DAY")
    assert "allows as much again today" in text(chief, RESUME)


# ------------------------------------------------------------------ retry


def page_of(batch: MintBatch, page: str = "change") -> str:
    return reverse(f"admin:minting_mintbatch_{page}", args=[batch.pk])


def failed_batch(resident) -> MintBatch:
    batch = journal.failed_batch(readings=0)
    reading = resident.reading(status="failed")
    MintBatch.objects.filter(pk=batch.pk).update(total_readings=1, failed_mints=1)
    journal._result(
        batch,
        batch.slices.get(),
        reading,
        status="failed",
        error_code="node_unreachable",
        error="No node answered",
    )
    batch.refresh_from_db()
    return batch


def test_what_failed_is_retried_after_one_question(operator: Client, minting_chain):
    batch = failed_batch(household())
    assert "Retry failed" in text(operator, page_of(batch))
    assert "1 reading failed here" in text(operator, page_of(batch, "retry"))
    assert MintBatch.objects.count() == 1

    page = operator.post(page_of(batch, "retry"), follow=True).content.decode()

    made = MintBatch.objects.exclude(pk=batch.pk).get()
    assert (made.retry_of, made.source, made.created_by.username) == (batch, "retry", "operator")
    assert "Queued for minting again: 1 reading." in page
    assert str(made.pk) in text(operator, page_of(batch)), "the first leads to its retry"
    assert MeterReading.objects.get().status == "minting"
    again = operator.post(page_of(batch, "retry"), follow=True).content.decode()
    assert "No reading of this batch failed and may be minted now" in again


def test_retrying_needs_the_right_to_mint(viewer: Client):
    batch = failed_batch(household())
    assert "Retry failed" not in text(viewer, page_of(batch))
    assert viewer.get(page_of(batch, "retry")).status_code == 403
    assert viewer.post(page_of(batch, "retry")).status_code == 403


def test_what_did_not_fail_has_no_button(operator: Client):
    assert "Retry failed" not in text(operator, page_of(journal.minted_batch()))


def test_the_next_retry_is_shown(viewer: Client):
    batch = failed_batch(household())
    due = timezone.now() + timedelta(minutes=5)
    batch.results.update(retry_at=due)
    assert "It is tried again by itself, at" in text(viewer, page_of(batch))
    assert f"{due:%H:%M:%S}" in text(viewer, page_of(batch))


# ------------------------------------------------------------------ in doubt


EVIDENCE = {
    "verdict": "uncertain",
    "why": "2 of 3 null answers are from banks 64 slots past 900",
    "node": "127.0.0.1:8899",
    "genesis_hash": "…",
    "finalized": {"slot": 901, "block_height": 149},
    "reports": [{"context_slot": 970, "statuses": [None]}],
    "first_available_block": 0,
    "second_witness": True,
}


@pytest.fixture
def doubtful(db: None) -> MintTransaction:
    row = journal.doubtful_batch().transactions.get()
    row.signed_at = timezone.now() - timedelta(seconds=450)
    row.evidence = {**deepcopy(EVIDENCE), "asked_at": timezone.now().isoformat()}
    row.save()
    return row


def transaction_page(row: MintTransaction, page: str = "change") -> str:
    return reverse(f"admin:minting_minttransaction_{page}", args=[row.pk])


def test_a_doubt_shows_its_evidence_and_when_it_ends(viewer: Client, doubtful):
    page = " ".join(text(viewer, transaction_page(doubtful)).split())
    assert "In doubt: neither landed nor proven dead" in page
    assert "2 of 3 null answers" in page
    assert "final only up to block 149" in page
    assert "149 at" in page
    assert "In 2 finalized blocks, about" in page
    assert "127.0.0.1:8899 at slot 970: does not know it" in page
    assert "its ledger begins at block 0" in page
    assert "the authority&#x27;s finalized history lacks it" in page
    assert "Look again" not in page, "only who may mint"


def test_certainty_is_computed_from_the_pace_of_the_chain(doubtful):
    """450 s for 900 slots: half a second a block, two blocks to go."""
    told = doubt_of(doubtful)
    assert told is not None
    assert told.asked_at is not None
    assert told.certain_at is not None
    assert (told.blocks_left, told.last_valid_block_height) == (2, 150)
    left = (told.certain_at - told.asked_at).total_seconds()
    assert round(Decimal(left), 1) == Decimal("1.0")


def test_past_its_height_certainty_comes_with_the_answers(viewer: Client, doubtful):
    doubtful.evidence["finalized"]["block_height"] = 151
    doubtful.save()
    assert "With the next look that gets all its answers" in text(
        viewer, transaction_page(doubtful)
    )


def test_before_any_answer_nothing_is_claimed(viewer: Client):
    row = journal.doubtful_batch().transactions.get()
    page = text(viewer, transaction_page(row))
    assert "Not told yet" in page
    assert "To be told after the next look" in page


def test_the_list_filters_doubts(viewer: Client, doubtful):
    journal.minted_batch()
    rows = viewer.get(TRANSACTIONS, {"doubt": "1"}).context["cl"].result_list
    assert [row.pk for row in rows] == [doubtful.pk]


def test_what_is_in_no_doubt_has_no_box(operator: Client):
    row = journal.minted_batch().transactions.get()
    assert "neither landed nor proven dead" not in text(operator, transaction_page(row))


def test_looking_again_is_for_who_may_mint_and_only_a_post(viewer: Client, operator, doubtful):
    look = transaction_page(doubtful, "look")
    assert operator.get(look).status_code == 405
    assert viewer.post(look).status_code == 403
    assert "Look again" in text(operator, transaction_page(doubtful))


def test_nodes_that_are_silent_are_told(operator: Client, doubtful):
    with patch.object(doubt, "tick", side_effect=NodeUnreachable("nobody there")):
        page = operator.post(transaction_page(doubtful, "look"), follow=True).content.decode()
    assert "No node answered: nobody there" in page
