"""The dashboard: alive by itself, whole while a node is silent, and the switch on it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from playwright.sync_api import expect

from minting.models import MintBatch
from minting.service import worker_health
from tests.browser.conftest import Visitor
from tests.factories.readings import household, outsider, solar_farm
from tests.minting.admin import journal

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def chief(db: None) -> User:
    return User.objects.create_superuser("chief", password="password")


def test_a_day_s_work_is_seen(minting_chain: Any, chief: User, visitor: Visitor):
    for resident in (household(), solar_farm()):
        for _ in range(3):
            resident.reading()
    outsider().reading(status="held", code="no_wallet")
    for readings in (30, 12):
        journal.minted_batch(readings=readings)
    journal.failed_batch(readings=2)
    journal.doubtful_batch()
    batch = journal.open_batch(readings=40)
    worker_health.report(4711, workers=4, started_at=datetime.now(UTC) - timedelta(hours=3))

    page = visitor.page
    visitor.log_in("chief", "password")
    expect(page.locator("[data-figure=Pending]")).to_have_text("6")
    expect(page.locator("[data-figure=Balance]")).to_contain_text("SOL")
    expect(page.locator("[data-figure=Runway]")).to_contain_text("more mints")
    expect(page.get_by_text("in doubt", exact=True).first).to_be_visible()
    expect(page.locator("[data-part=workers]")).to_contain_text("3 h 0 min")

    bar = page.locator(f"[data-batch='{batch.pk}'] [role=progressbar]")
    expect(bar).to_have_attribute("aria-valuenow", "0")
    MintBatch.objects.filter(pk=batch.pk).update(status="running", successful_mints=18)
    expect(bar).to_have_attribute("aria-valuenow", "45")  # nobody loaded the page again
    visitor.pictures("work")
