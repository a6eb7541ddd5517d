"""A utility brings its files: one with errors, corrected, imported, and then the registry."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.contrib.auth.models import Permission, User
from playwright.sync_api import expect

from readings.models import MeterReading
from tests.browser.conftest import Visitor
from tests.factories.readings import QUARTER, household, last_quarter, outsider

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

END = last_quarter()


def table(path: Path, *rows: tuple[str, int, object]) -> Path:
    """Quarter hours of meters, so many quarters ago."""
    lines = ["Zähler;start;end;Einspeisung (kWh)"]
    for meter, ago, kwh in rows:
        end = END - ago * QUARTER
        lines.append(f"{meter};{end - QUARTER:%Y-%m-%d %H:%M};{end:%Y-%m-%d %H:%M};{kwh}")
    path.write_text("\n".join(lines))
    return path


def test_a_file_with_errors_is_corrected_and_imported(visitor: Visitor, tmp_path: Path):
    household()
    outsider()
    user = User.objects.create_user("utility", password="password", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(content_type__app_label="readings"))
    page = visitor.page
    bad = table(
        tmp_path / "march.csv",
        ("HOUSE-1", 1, "0,25"),
        ("HOUSE-1", 2, "lots"),
        ("HOUSE-2", 3, "0,25"),
        ("OUTSIDE-1", 1, "0,5"),
    )

    visitor.log_in("utility", "password")
    visitor.go("/admin/readings/importfile/")
    visitor.picture("empty")
    page.get_by_role("link", name="Import readings").first.click()
    visitor.picture("upload")
    page.set_input_files("[name=file]", bad)
    page.get_by_role("button", name="Look at the file").click()

    expect(page.get_by_text("No column tells the exported energy")).to_be_visible()
    visitor.picture("asked")
    page.get_by_label("Zähler").select_option("meter")
    page.get_by_label("Einspeisung (kWh)").select_option("exported")
    page.get_by_label("Decimal comma").check(force=True)
    page.get_by_role("button", name="Read again").click()

    expect(page.locator("[data-counter='Not to be taken']")).to_have_text("2")
    expect(page.get_by_text("No meter with serial 'HOUSE-2' is registered")).to_be_visible()
    visitor.picture("errors")
    page.get_by_role("button", name="Import", exact=True).click()
    expect(page.get_by_text("Say what becomes of them")).to_be_visible()
    visitor.picture("refused")
    assert not MeterReading.objects.exists()
    page.get_by_role("button", name="Discard").click()
    expect(page.get_by_text("nothing of it was imported")).to_be_visible()

    good = table(
        tmp_path / "march-2.csv",
        ("HOUSE-1", 1, "0.25"),
        ("HOUSE-1", 2, "0.75"),
        ("OUTSIDE-1", 1, "0.5"),
    )
    visitor.go("/admin/readings/importfile/add/")
    page.set_input_files("[name=file]", good)
    page.get_by_role("button", name="Look at the file").click()
    page.get_by_label("Zähler").select_option("meter")
    page.get_by_label("Einspeisung (kWh)").select_option("exported")
    page.get_by_role("button", name="Read again").click()
    expect(page.locator("[data-counter=New]")).to_have_text("3")
    visitor.picture("preview")
    page.get_by_role("button", name="Import", exact=True).click()
    expect(page.get_by_text("march-2.csv is imported")).to_be_visible()
    visitor.picture("imported")
    assert MeterReading.objects.count() == 3

    page.get_by_role("link", name="See and release them").click()
    expect(page.locator("tr.data-row")).to_have_count(1)
    visitor.picture("held")
    visitor.go("/admin/readings/importfile/")
    expect(page.locator("tr.data-row")).to_have_count(2)
    visitor.picture("list")
    assert re.search("/importfile/$", page.url)
