"""Reconciliations and differences: shown to all who may see them, explained by those who may."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from minting.models import MintInfo, MintingGate, ReconcileFinding, ReconcileRun
from tests.minting.admin.conftest import Staff

VIEW = ("minting.view_reconcilerun", "minting.view_reconcilefinding")
NOW = timezone.now()
LIST = "admin:minting_reconcilefinding_changelist"
ACKNOWLEDGE = "admin:minting_reconcilefinding_acknowledge"


@pytest.fixture
def finding(db: None) -> ReconcileFinding:
    info = MintInfo.objects.create(
        genesis_hash="g", address="m", token_program="t", decimals=9, account_size=165
    )
    run = ReconcileRun.objects.create(
        mint=info, status="differences", to_slot=1_234, supply_on_chain=777, supply_explained=777
    )
    MintingGate.objects.create(closed_since=timezone.now(), reason="a stranger minted")
    return ReconcileFinding.objects.create(
        mint=info,
        run=run,
        kind="unknown_mint",
        signature="5" * 88,
        on_chain=777,
        detail="minted by somebody",
        seen_at=timezone.now(),
    )


def select(client: Client, finding: ReconcileFinding):
    return client.post(
        reverse(LIST), {"action": "acknowledge_selected", "_selected_action": [str(finding.pk)]}
    )


def test_every_page_opens_and_changes_nothing(staff: Staff, finding: ReconcileFinding):
    viewer = staff("auditor", *VIEW)
    for row in (finding, finding.run):
        model = row._meta.model_name
        assert viewer.get(reverse(f"admin:minting_{model}_changelist")).status_code == 200
        page = viewer.get(reverse(f"admin:minting_{model}_change", args=[row.pk]))
        assert page.status_code == 200
        assert b'name="_save"' not in page.content
        assert viewer.get(reverse(f"admin:minting_{model}_add")).status_code == 403


def test_the_list_says_that_nothing_is_signed(staff: Staff, finding: ReconcileFinding):
    page = staff("auditor", *VIEW).get(reverse(LIST))
    assert b"Nothing is signed: a stranger minted" in page.content


def test_a_person_with_the_right_acknowledges_with_a_reason(
    staff: Staff, finding: ReconcileFinding
):
    approver = staff("approver", *VIEW, "minting.acknowledge_finding")

    assert select(approver, finding).headers["Location"] == reverse(ACKNOWLEDGE)
    assert b"minted by somebody" in approver.get(reverse(ACKNOWLEDGE)).content
    shown = approver.get(reverse(ACKNOWLEDGE)).context["shown"]
    page = approver.post(reverse(ACKNOWLEDGE), {"shown": shown})
    assert b"This field is required" in page.content
    form = {"shown": shown, "reason": "a test by our own people"}
    approver.post(reverse(ACKNOWLEDGE), form)

    finding.refresh_from_db()
    assert finding.acknowledged_by == "approver"
    assert finding.reason == "a test by our own people"
    again = approver.post(reverse(ACKNOWLEDGE), {**form, "reason": "pressed twice"}, follow=True)
    assert b"Nothing is acknowledged" in again.content
    finding.refresh_from_db()
    assert finding.reason == "a test by our own people"


def test_only_what_was_shown_is_acknowledged(staff: Staff, finding: ReconcileFinding):
    """Not what was selected in another tab since, nor a difference that has grown."""
    approver = staff("approver", *VIEW, "minting.acknowledge_finding")
    select(approver, finding)
    shown = approver.get(reverse(ACKNOWLEDGE)).context["shown"]
    other = ReconcileFinding.objects.create(
        mint=finding.mint, run=finding.run, kind="missing", signature="4" * 88, seen_at=NOW
    )
    select(approver, other)
    ReconcileFinding.objects.filter(pk=finding.pk).update(on_chain=9_777)

    answer = approver.post(
        reverse(ACKNOWLEDGE), {"shown": shown, "reason": "explained"}, follow=True
    )

    assert b"Nothing is acknowledged" in answer.content
    assert not ReconcileFinding.objects.exclude(acknowledged_at=None).exists()


def test_without_the_right_nobody_acknowledges(staff: Staff, finding: ReconcileFinding):
    viewer = staff("auditor", *VIEW)

    select(viewer, finding)
    assert viewer.get(reverse(ACKNOWLEDGE)).status_code == 403
    assert viewer.post(reverse(ACKNOWLEDGE), {"reason": "x"}).status_code == 403

    finding.refresh_from_db()
    assert finding.acknowledged_at is None


def test_nothing_selected_nothing_acknowledged(finding: ReconcileFinding):
    chief = Client()
    chief.force_login(User.objects.create_superuser("chief", password="x"))
    assert b"None of the selected differences is open" in chief.get(reverse(ACKNOWLEDGE)).content
    chief.get(reverse(LIST), {"q": finding.signature})
