"""A reading is corrected on its page, by keyboard alone."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from readings import intake
from readings.models import MeterReading
from tests.browser.conftest import Visitor
from tests.browser.staging import PASSWORD, staff
from tests.factories.readings import household
from tests.minting.admin import journal

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def test_a_reading_is_corrected_by_keyboard(visitor: Visitor):
    staff("chief")
    reading = household().reading(energy_generated="1.5")
    minted = journal.minted_batch().results.get().reading
    intake.correct(reading_id=minted.id, kwh_amount="0.2", reason="Misread by a tenth")
    page = visitor.page
    visitor.log_in("chief", PASSWORD)
    visitor.go(f"/admin/readings/meterreading/{reading.pk}/change/")
    page.get_by_role("link", name="Correct…").focus()
    page.keyboard.press("Enter")
    exported = page.get_by_label("Exported, in kWh")
    exported.fill("0,5")
    page.get_by_label("Reason").fill("The tenant read the wrong register")
    exported.press("Enter")
    expect(page.get_by_text("This is not a decimal number.")).to_be_visible()
    expect(exported).to_have_accessible_description(
        re.compile("Now 0.25 kWh.*not a decimal number")
    )
    visitor.picture("form")

    exported.fill("0.5")
    exported.press("Enter")
    expect(page.get_by_role("heading", name="Correct this reading?")).to_be_visible()
    visitor.pictures("look")
    page.get_by_role("button", name="Correct", exact=True).press("Enter")
    expect(page.get_by_text(re.compile("Corrected: revision 2 says 0.5 kWh"))).to_be_visible()
    visitor.picture("corrected")
    page.get_by_role("link", name="revision 1").click()
    expect(page.get_by_text("This is revision 1;")).to_be_visible()
    assert MeterReading.objects.filter(meter=reading.meter).count() == 2

    visitor.go(f"/admin/readings/meterreading/{minted.pk}/correct/")
    page.get_by_label("Exported, in kWh").fill("0.31")
    page.get_by_label("Reason").fill("And again")
    page.get_by_role("button", name="Show what it does").click()
    visitor.pictures("minted")
    visitor.go(f"/admin/readings/meterreading/{minted.pk}/change/")
    visitor.pictures("revisions")
    MeterReading.objects.filter(pk=minted.pk).update(status="minting")
    visitor.go(f"/admin/readings/meterreading/{minted.pk}/correct/")
    visitor.picture("flying")
