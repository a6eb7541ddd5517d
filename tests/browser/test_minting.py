"""The day's work: select, mint, see the signatures."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Literal

import pytest
from django.contrib.auth.models import Permission, User
from playwright.sync_api import expect

from minting.models import MintBatch, MintResult
from readings.models import MeterReading
from tests.browser.conftest import Visitor
from tests.factories.readings import household, outsider, solar_farm
from tests.minting.admin import journal

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

PENDING = 6


@pytest.fixture
def operator() -> User:
    user = User.objects.create_user("operator", password="password", is_staff=True)
    user.user_permissions.set(
        Permission.objects.filter(content_type__app_label__in=("readings", "minting"))
    )
    return user


@pytest.fixture
def readings() -> None:
    for resident in (household(), solar_farm()):
        for _ in range(PENDING // 2):
            resident.reading()
    outsider().reading(status="held", code="no_wallet")


def test_pending_readings_are_selected_minted_and_seen(
    minting_chain: Any, worker: Callable[[], None], operator: User, readings: None, visitor: Visitor
):
    page = visitor.page
    visitor.log_in("operator", "password")
    visitor.picture("index")
    visitor.go("/admin/readings/meterreading/")
    expect(page.locator("tr.data-row")).to_have_count(PENDING + 1)
    visitor.picture("readings")
    visitor.go("/admin/readings/meterreading/?status__exact=pending")
    expect(page.locator("tr.data-row")).to_have_count(PENDING)

    page.locator("#action-toggle").check()
    page.locator("[name=action]").select_option("mint_selected")
    visitor.picture("selected")
    page.get_by_role("button", name="Run").click()

    expect(
        page.get_by_role("heading", name=f"Mint {PENDING} of {PENDING} readings?")
    ).to_be_visible()
    expect(page.get_by_text("1.5 tokens")).to_be_visible()
    visitor.picture("confirm")
    page.get_by_role("button", name=f"Mint {PENDING} readings").click()

    page.wait_for_url(re.compile(r"/admin/minting/mintbatch/[0-9a-f-]+/change/"))
    expect(page.get_by_text("queued", exact=True)).to_be_visible()
    visitor.picture("batch-queued")
    worker()
    # Nobody loads the page again: it does so itself.
    expect(page.get_by_text("succeeded", exact=True)).to_be_visible()
    expect(page.locator("[data-value=minted]")).to_have_text(str(PENDING))
    visitor.picture("batch-succeeded")

    signature = MintResult.objects.first().tx_signature
    visitor.go(f"/admin/readings/meterreading/?q={signature}")
    expect(page.locator(f"[title='{signature}']").first).to_be_visible()
    visitor.picture("readings-minted")
    assert MintBatch.objects.get().created_by == operator
    assert MeterReading.objects.minted().count() == PENDING


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1400, 420])
def test_every_page_is_fit_to_be_looked_at(
    operator: User, visitor: Visitor, scheme: Literal["light", "dark"], width: int
):
    """Opens without an error; the pictures are for people."""
    batches = {
        "minted": journal.minted_batch(readings=3),
        "failed": journal.failed_batch(readings=3),
        "doubtful": journal.doubtful_batch(),
        "open": journal.open_batch(
            readings=2,
            excluded=[
                {
                    "reading_id": str(outsider().reading(status="held", code="no_wallet").id),
                    "code": "no_wallet",
                    "reason": "The meter has no owner with a registered wallet.",
                }
            ],
        ),
    }
    page = visitor.page
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": width, "height": 900})
    visitor.log_in("operator", "password")
    for name in ("mintbatch", "mintresult", "minttransaction", "mintinfo"):
        visitor.go(f"/admin/minting/{name}/")
        visitor.picture(name)
    for name, batch in batches.items():
        visitor.go(f"/admin/minting/mintbatch/{batch.pk}/change/")
        expect(page.locator("#batch-live")).to_be_visible()
        visitor.picture(f"batch-{name}")
    dead = batches["failed"].transactions.get()
    visitor.go(f"/admin/minting/minttransaction/{dead.pk}/change/")
    visitor.picture("transaction")
    held = MeterReading.objects.held().get()
    visitor.go(f"/admin/readings/meterreading/{held.pk}/change/")
    visitor.picture("reading")
    page.get_by_role("button", name="Release…").click()
    expect(page.get_by_role("heading", name="Release held readings")).to_be_visible()
    visitor.picture("release")
    visitor.go("/admin/readings/meterreading/")
    visitor.picture("readings")
    page.get_by_text("Filters").first.click()
    visitor.picture("filters")
