"""A utility brings its files: one with errors, corrected, imported, and then the registry."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connections
from playwright.sync_api import expect

from readings.admin import imports as pages
from readings.models import MeterReading, Wallet
from readings.tasks import work_imports
from tests.browser.conftest import Visitor
from tests.factories.readings import QUARTER, address, household, last_quarter, outsider

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

END = last_quarter()


def table(
    path: Path, *rows: tuple[str, int, str], meter: str = "Zähler", energy: str = "Einspeisung"
) -> Path:
    """Quarter hours of meters, so many quarters ago."""
    lines = [f"{meter};start;end;{energy}"]
    for serial, ago, kwh in rows:
        end = END - ago * QUARTER
        lines.append(f"{serial};{end - QUARTER:%Y-%m-%d %H:%M};{end:%Y-%m-%d %H:%M};{kwh}")
    path.write_text("\n".join(lines))
    return path


@pytest.fixture
def utility() -> User:
    user = User.objects.create_user("utility", password="password", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(content_type__app_label="readings"))
    return user


def work() -> None:
    """As a worker would, in a thread that has no event loop."""

    def drain() -> None:
        assert work_imports() == 1
        connections.close_all()

    with ThreadPoolExecutor(1) as pool:
        pool.submit(drain).result()


def test_a_file_with_errors_is_corrected_and_imported(
    utility: User, visitor: Visitor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    household()
    outsider()
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
    page.get_by_label("Einspeisung").select_option("exported")
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

    monkeypatch.setattr(pages, "IN_PLACE", 10)
    good = table(
        tmp_path / "march-2.csv",
        ("HOUSE-1", 1, "0.25"),
        ("HOUSE-1", 2, "0.75"),
        ("OUTSIDE-1", 1, "0.5"),
        meter="meter",
        energy="kwh",
    )
    visitor.go("/admin/readings/importfile/add/")
    page.set_input_files("[name=file]", good)
    page.get_by_role("button", name="Look at the file").click()
    expect(page.get_by_text("Waiting for a worker")).to_be_visible()
    visitor.picture("waiting")
    work()
    # Nobody loads the page again: it does so itself.
    expect(page.locator("[data-counter=New]")).to_have_text("3")
    visitor.picture("preview")
    page.get_by_role("button", name="Import", exact=True).click()
    expect(page.get_by_text("Waiting for a worker")).to_be_visible()
    work()
    expect(page.get_by_role("link", name="Its readings")).to_be_visible()
    visitor.picture("imported")
    assert MeterReading.objects.count() == 3

    page.get_by_role("link", name="See and release them").click()
    expect(page.locator("tr.data-row")).to_have_count(1)
    visitor.picture("held")
    visitor.go("/admin/readings/importfile/")
    expect(page.locator("tr.data-row")).to_have_count(2)
    visitor.picture("list")


@pytest.mark.parametrize(("scheme", "width"), [("light", 1400), ("dark", 400)])
def test_a_registry_is_imported(
    utility: User,
    visitor: Visitor,
    tmp_path: Path,
    scheme: Literal["light", "dark"],
    width: int,
):
    """Old to new is shown before anything changes; the pictures are for people."""
    household()
    waiting = outsider().reading(status="held", code="no_wallet")
    file = tmp_path / "registry.csv"
    file.write_text(
        "user_id,name,wallet_address,meter_serial,location,held_from\n"
        f"anong,Anong S.,{address('new')},HOUSE-1,Nonthaburi,\n"
        f"niran,,{address('niran')},,,\n"
        f"malee,Malee,{address('malee')},HOUSE-9,Bangkok,2026-01-01\n"
        "somchai,,,HOUSE-10,,2026-01-01\n"
    )
    page = visitor.page
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": width, "height": 900})
    visitor.log_in("utility", "password")
    visitor.go("/admin/readings/importfile/add/?kind=registry")
    visitor.picture("upload")
    page.set_input_files("[name=file]", file)
    page.get_by_role("button", name="Look at the file").click()
    expect(page.get_by_text("Owner somchai is new and needs a name")).to_be_visible()
    expect(page.get_by_text("Anong Srisuk", exact=True)).to_be_visible()
    expect(page.get_by_text(address("malee"))).to_have_count(0)
    visitor.picture("old-to-new")
    page.get_by_label("Leave out the rows").check(force=True)
    page.get_by_role("button", name="Import", exact=True).click()
    expect(page.get_by_text("registry.csv is imported")).to_be_visible()
    visitor.picture("imported")
    assert Wallet.objects.current().count() == 3
    waiting.refresh_from_db()
    assert waiting.status == "pending"
