"""The approvers' inbox: what is shown, who may answer, and that the answer is to what was shown."""

from __future__ import annotations

from decimal import Decimal

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.urls import reverse

from minting.models import BatchSource, MintApproval, MintResult
from minting.service.requests.prepare import request_batch
from tests.factories.village import harvest, village
from tests.minting.admin.conftest import VIEWS

pytestmark = pytest.mark.django_db(transaction=True)

SEES = (*VIEWS, "minting.view_mintapproval")
APPROVES = (*SEES, "minting.approve_batch")


@pytest.fixture
def waiting(minting_chain, settings):
    """A batch of five readings that an operator, who may approve others', asked for."""
    settings.APPROVAL_ABOVE_KWH = Decimal(1)
    operator = get_user_model().objects.create_user("asker", is_staff=True)
    ids = [reading.id for reading in harvest(village(5))]
    request_batch(ids, source=BatchSource.ADMIN, created_by=operator, strict=True)
    return MintApproval.objects.get()


def url(name: str, row: MintApproval) -> str:
    return reverse(f"admin:minting_mintapproval_{name}", args=[row.pk])


def test_an_approver_sees_what_is_asked_and_lets_it_go(waiting, staff, drain):
    approver = staff("approver", *APPROVES)
    inbox = approver.get(reverse("admin:minting_mintapproval_changelist")).content.decode()
    assert "5 readings, 1.25 kWh" in inbox
    assert "asker" in inbox
    digest = bytes(waiting.digest).hex()
    page = approver.get(url("change", waiting)).content.decode()
    for told in (
        "1.25 kWh, above 1 kWh",
        "Largest wallets",
        bytes(waiting.digest).hex(),
        "Approve",
    ):
        assert told in page
    assert approver.get(url("approve", waiting)).status_code == 200

    answer = approver.post(url("approve", waiting), {"digest": digest, "reason": "as agreed"})

    assert answer.url == reverse("admin:minting_mintbatch_change", args=[waiting.batch_id])
    waiting.refresh_from_db()
    assert (waiting.decision, waiting.decided_by.username, waiting.reason) == (
        "approved",
        "approver",
        "as agreed",
    )
    drain()
    assert MintResult.objects.filter(success=True).count() == 5
    batch_page = approver.get(answer.url).content.decode()
    assert "approved</a> by approver" in batch_page


def test_it_is_refused_with_a_reason_that_whoever_asked_can_read(waiting, staff):
    approver = staff("approver", *APPROVES)
    assert b"This field is required" in approver.post(url("refuse", waiting), {}).content
    approver.post(url("refuse", waiting), {"reason": "wrong month"})
    assert set(MintResult.objects.values_list("error", flat=True)) == {
        "approver did not approve the batch: wrong month"
    }


def test_whoever_asked_or_may_not_is_refused_by_page_and_by_address(waiting, staff, client):
    digest = bytes(waiting.digest).hex()
    asker = waiting.requested_by
    for right in APPROVES:
        app, name = right.split(".")
        asker.user_permissions.add(
            Permission.objects.get(codename=name, content_type__app_label=app)
        )
    client.force_login(asker)
    for person in (client, staff("auditor", *SEES)):
        page = person.get(url("change", waiting)).content.decode()
        assert "Another person who may approve batches has to decide" in page
        for name in ("approve", "refuse"):
            assert person.get(url(name, waiting)).status_code == 403
            answer = person.post(url(name, waiting), {"digest": digest, "reason": "x"})
            assert answer.status_code == 403
    waiting.refresh_from_db()
    assert waiting.decision == "waiting"


def test_the_answer_is_to_what_was_shown_and_given_once(waiting, staff):
    approver = staff("approver", *APPROVES)
    answer = approver.post(url("approve", waiting), {"digest": "ab" * 32}, follow=True)
    assert "Not decided: the batch is not what was shown" in answer.content.decode()
    assert approver.post(url("approve", waiting), {"digest": "tampered"}).status_code == 200
    right = {"digest": bytes(waiting.digest).hex()}
    approver.post(url("approve", waiting), right)
    again = approver.post(url("approve", waiting), right, follow=True)
    assert "Not decided: the request is approved already" in again.content.decode()


def test_how_many_wait_stands_in_the_sidebar(waiting, staff):
    approver = staff("approver", *APPROVES)
    assert "Approvals" in approver.get(reverse("admin:index")).content.decode()
    MintApproval.objects.update(decision="withdrawn")
    empty = approver.get(reverse("admin:minting_mintapproval_changelist")).content.decode()
    assert "withdrawn" in empty
