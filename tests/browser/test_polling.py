"""The poller on the dashboard: how it stands, paused with a reason by who may, and resumed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from playwright.sync_api import expect

from minting.models import Polling, PollingPause
from minting.service.watch import worker_health
from minting.tasks import poll
from tests.browser.conftest import Visitor, elsewhere
from tests.factories.readings import household, solar_farm

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def test_a_poll_is_seen_and_polling_is_paused_and_resumed(
    groups: None, minting_chain: Any, visitor: Visitor, settings: Any
):
    settings.TOKENIZATION_AUTO_MINT_ENABLED = True
    user = User.objects.create_user("operator", password="password", is_staff=True)
    user.groups.add(Group.objects.get(name="Operator"))
    _give_a_sign_of_life()
    at_home = household()
    for reading in (at_home.reading, at_home.reading, solar_farm().reading):
        reading()
    elsewhere(poll)
    Polling.objects.update(
        called_at=datetime.now(UTC), left_out={"off_curve_wallet": 2}, below_threshold=14
    )

    page = visitor.page
    visitor.log_in("operator", "password")
    standing = page.locator("#polling")
    expect(standing).to_contain_text("Polling is on")
    expect(standing).to_contain_text("What is pending is minted every 60 s. Next poll:")
    expect(standing).to_contain_text("took 3 readings in a batch")
    expect(standing).to_contain_text("2 readings cannot be minted: nobody holds the wallet's key")
    visitor.pictures("on")

    page.get_by_role("link", name="Pause polling…").click()
    visitor.pictures("pause")
    page.get_by_role("button", name="Pause polling").click()
    expect(page.locator("[name=reason]")).to_be_focused()  # it has to be said why
    page.fill("[name=reason]", "the tariff changes at midnight")
    page.get_by_role("button", name="Pause polling").click()
    expect(standing).to_contain_text("Polling is paused")
    expect(standing).to_contain_text("Paused by operator since")
    visitor.pictures("paused")

    visitor.go("/admin/minting/pollingpause/")
    expect(page.locator("#result_list")).to_contain_text("the tariff changes at midnight")
    visitor.pictures("list")
    page.get_by_role("link", name="Resume polling…").first.click()
    visitor.pictures("resume")
    _give_a_sign_of_life()
    page.get_by_role("button", name="Resume polling").click()
    expect(standing).to_contain_text("Polling is on")
    assert PollingPause.objects.get().resumed_by == "operator"

    Polling.objects.update(
        trouble="The fee payer is short of 1,234,567 lamports for this plan",
        trouble_code="insufficient_funds",
        failures=3,
        not_before=datetime.now(UTC) + timedelta(minutes=8),
    )
    expect(standing).to_contain_text("It gave up (3 times in a row): The fee payer is short")
    visitor.pictures("trouble")


def _give_a_sign_of_life() -> None:
    began = datetime.now(UTC) - timedelta(hours=3)
    worker_health.report(4711, workers=4, started_at=began, polls_every=timedelta(minutes=1))
