"""Moments in the reader's zone, whenever their part of the page comes."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.test import Client
from playwright.sync_api import expect

from tests.browser.conftest import ZONE, Visitor
from tests.factories.readings import household
from tests.minting.admin import journal

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def test_moments_are_told_in_the_reader_s_zone_with_utc_under_the_mouse(visitor: Visitor):
    User.objects.create_superuser("chief", password="password")
    reading = household().reading()
    batch = journal.open_batch()
    bangkok = "2026-02-03 01:04:05"
    type(batch).objects.update(created_at="2026-02-02T18:04:05.678Z")
    type(reading).objects.filter(pk=reading.pk).update(
        period_start="2026-02-02T16:45:00Z", period_end="2026-02-02T17:00:00Z"
    )

    page = visitor.page
    visitor.log_in("chief", "password")
    visitor.go("/admin/minting/mintbatch/")
    moment = page.locator("#result_list time").first
    expect(moment).to_have_text(bangkok)
    expect(moment).to_have_attribute("title", f"2026-02-02 18:04:05 UTC; shown in {ZONE}")

    # Parts of a page that come later, without the page being loaded again.
    visitor.go("/admin/")
    later = journal.open_batch()
    type(later).objects.filter(pk=later.pk).update(created_at="2026-02-02T18:04:05.678Z")
    expect(page.locator(f"[data-batch='{later.pk}'] time")).to_have_text(bangkok)

    visitor.go(f"/admin/readings/meterreading/{reading.pk}/change/")
    crosses = page.locator("time[data-until]").first
    expect(crosses).to_have_text("2026-02-02 23:45 to 2026-02-03 00:00")
    expect(crosses).to_have_attribute("title", f"2026-02-02 16:45 to 17:00 UTC; shown in {ZONE}")


def test_without_scripts_the_text_is_utc(db: None):
    client = Client()
    client.force_login(User.objects.create_superuser("chief", password="x"))
    journal.open_batch()
    type(journal.open_batch()).objects.update(created_at="2026-02-02T18:04:05.678Z")
    page = client.get("/admin/minting/mintbatch/").content.decode()
    assert (
        '<time datetime="2026-02-02T18:04:05Z" title="2026-02-02 18:04:05 UTC">'
        "2026-02-02 18:04:05 UTC</time>"
    ) in page
