"""Readings are found, copied from, selected, counted by a worker, minted, released."""

from __future__ import annotations

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import Permission, User
from django.contrib.sessions.models import Session
from django.db import connections
from django.utils import timezone
from playwright.sync_api import Page, expect

from minting.admin.readings import releases, selections
from minting.engine.errands import ErrandKind
from minting.models import Errand, MintBatch, MintSelection
from minting.tasks import run_errand
from readings import intake
from readings.models import MeterReading, Wallet
from tests.browser.conftest import Visitor
from tests.factories.readings import address, household, outsider, solar_farm

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

PENDING = 60
LIST = "/admin/readings/meterreading/"


@pytest.fixture
def operator() -> User:
    user = User.objects.create_user("operator", password="password", is_staff=True)
    user.user_permissions.set(
        Permission.objects.filter(content_type__app_label__in=("readings", "minting"))
    )
    return user


@pytest.fixture
def readings() -> None:
    home, farm, stranger = household(), solar_farm(), outsider()
    for number in range(PENDING // 2):
        home.reading(kwh_amount=f"0.{number + 10}")
        farm.reading(kwh_amount=f"{number + 2}.125")
    for _ in range(3):
        farm.reading(status="held", code="reading_too_large", kwh_amount=240)
    stranger.reading(status="held", code="no_wallet")
    stranger.reading(status="not_minted", code="consumption", kwh_amount="-0.5")
    Wallet.objects.update(registered_at=timezone.now() - timedelta(days=90))
    intake.register_wallet(owner=home.owner, address=address("moved house"))


@pytest.fixture
def errand(monkeypatch: pytest.MonkeyPatch) -> Callable[[ErrandKind], None]:
    """Does what was asked for, as a worker would, in a thread; two readings are long."""
    monkeypatch.setattr(selections, "AT_ONCE", 2)
    monkeypatch.setattr(releases, "AT_ONCE", 2)

    def do(kind: ErrandKind) -> None:
        asked = str(Errand.objects.get(kind=kind).pk)

        def done() -> str:
            try:
                return run_errand(asked)
            finally:
                connections.close_all()

        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(done).result() == "done"

    return do


def rows(page: Page) -> Any:
    return page.locator("tr.data-row")


def run_action(page: Page, name: str) -> None:
    page.locator("[name=action]").select_option(name)
    page.get_by_role("button", name="Run").click()


def test_readings_are_found_and_copied_from(operator: User, readings: None, visitor: Visitor):
    page = visitor.page
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    visitor.log_in("operator", "password")
    visitor.go(f"{LIST}?kwh_amount_from=25")
    visitor.pictures("list")
    page.get_by_text("Filters").first.click()
    page.get_by_label("exported kWh, from").fill("31")
    page.get_by_label("exported kWh, to").fill("100")
    visitor.pictures("filters")
    page.get_by_role("button", name="Apply Filters").click()
    expect(rows(page)).to_have_count(1)
    expect(page.get_by_text("31.125 kWh")).to_be_visible()

    wallet = address("moved house")
    visitor.go(LIST)
    page.locator("#searchbar").fill(wallet[:8])
    page.locator("#searchbar").press("Enter")
    expect(rows(page)).to_have_count(PENDING // 2)

    # By keyboard alone, and said to those who do not see it.
    button = page.get_by_role("button", name="Copy the wallet").first
    button.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#said")).to_have_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == wallet

    visitor.go(f"{LIST}?q=nothing-of-this-name")
    expect(page.get_by_role("heading", name="Nothing matches")).to_be_visible()
    visitor.picture("nothing")


@pytest.mark.usefixtures("minting_chain", "readings")
def test_all_that_match_are_counted_by_a_worker_and_minted(
    worker: Callable[[], None],
    errand: Callable[[ErrandKind], None],
    operator: User,
    visitor: Visitor,
):
    page = visitor.page
    visitor.log_in("operator", "password")
    visitor.go(LIST)
    page.locator("#action-toggle").check()
    page.get_by_text("Select all that match").click()
    run_action(page, "mint_selected")

    expect(page.get_by_role("heading", name=f"Counting {PENDING} readings")).to_be_visible()
    expect(page.locator("#said")).to_have_text("Waiting for a worker")
    asked = Errand.objects.get()
    # A worker that got half way and died: the page follows, the next one takes it up again.
    Errand.objects.update(
        status="running",
        claim=uuid4(),
        done=1,
        total=2,
        lease_until=timezone.now() + timedelta(minutes=1),
    )
    expect(page.get_by_role("progressbar")).to_have_attribute("aria-valuenow", "50")
    expect(page.locator("#said")).to_have_text("50 % of 2 wallets done")
    visitor.pictures("counting")
    changed = MeterReading.objects.filter(status="pending").first()
    MeterReading.objects.filter(pk=changed.pk).update(status="held", code="unverified")
    Errand.objects.update(lease_until=timezone.now())
    errand(ErrandKind.PREVIEW)

    # Nobody loads the page again: it does so itself.
    heading = page.get_by_role("heading", name=f"Mint {PENDING - 1} of {PENDING} readings?")
    expect(heading).to_be_visible()
    expect(page.locator("#said")).to_have_text(f"Mint {PENDING - 1} of {PENDING} readings?")
    expect(page.get_by_text("Since you selected them, 1 is held now")).to_be_visible()
    expect(page.get_by_text("1 wallet changed in the last 7 days")).to_be_visible()
    expect(page.get_by_text("4 held")).to_be_visible()
    visitor.pictures("counted")

    page.get_by_role("button", name=f"Mint {PENDING - 1} readings").click()
    expect(page.get_by_role("heading", name=f"Queueing {PENDING} readings")).to_be_visible()
    page.reload()
    page.go_back()
    page.go_forward()
    expect(page.get_by_role("heading", name=f"Queueing {PENDING} readings")).to_be_visible()
    visitor.picture("queueing")
    errand(ErrandKind.MINT)
    page.wait_for_url(re.compile(r"/admin/minting/mintbatch/[0-9a-f-]+/change/"))
    worker()
    expect(page.get_by_text("succeeded", exact=True)).to_be_visible()

    page.go_back()
    page.wait_for_url(re.compile(r"/admin/"))
    visitor.go(f"/admin/minting/mintselection/{asked.selection_id}/confirm/")
    page.wait_for_url(re.compile(r"/admin/minting/mintbatch/[0-9a-f-]+/change/"))
    assert MintBatch.objects.count() == 1
    visitor.go(f"{LIST}?status__exact=minted&kwh_amount_from=25")
    visitor.pictures("minted")


def test_what_is_held_is_released_by_its_cause(
    errand: Callable[[ErrandKind], None], operator: User, readings: None, visitor: Visitor
):
    page = visitor.page
    visitor.log_in("operator", "password")
    visitor.go(LIST)
    page.get_by_role("link", name="What is held").click()
    expect(page.locator("[data-held=reading_too_large]")).to_have_text("3")
    expect(page.locator("[data-held=no_wallet]")).to_have_text("1")
    visitor.pictures("held")
    page.get_by_role("button", name="Release all").click()
    visitor.pictures("release")
    page.get_by_label("Reason").fill("It is a solar farm.")
    page.get_by_role("button", name="Release").click()
    expect(page.get_by_role("heading", name="Releasing 3 readings")).to_be_visible()
    # The session is over: the page leads to the login as a whole, and back.
    Session.objects.all().delete()
    page.wait_for_url(re.compile(r"/admin/login/\?next="))
    page.fill("[name=username]", "operator")
    page.fill("[name=password]", "password")
    page.click("button[type=submit]")
    expect(page.get_by_role("heading", name="Releasing 3 readings")).to_be_visible()
    errand(ErrandKind.RELEASE)
    expect(page.get_by_text("ready for minting: 3 readings")).to_be_visible()
    visitor.picture("released")
    assert MeterReading.objects.filter(release_reason="It is a solar farm.").count() == 3


def test_who_may_only_look_is_offered_nothing_and_refused(readings: None, visitor: Visitor):
    auditor = User.objects.create_user("auditor", password="password", is_staff=True)
    auditor.user_permissions.set(Permission.objects.filter(codename="view_meterreading"))
    selection = MintSelection.objects.create(created_by=auditor)
    page = visitor.page
    visitor.log_in("auditor", "password")
    visitor.go(LIST)
    expect(rows(page).first).to_be_visible()
    expect(page.locator("[name=action]")).to_have_count(0)
    visitor.go("/admin/readings/meterreading/held")
    expect(page.get_by_role("button", name="Release all")).to_have_count(0)
    visitor.go(f"/admin/minting/mintselection/{selection.pk}/confirm/")
    expect(page.get_by_role("heading", name="You may not do this")).to_be_visible()
    visitor.picture("refused")
    (refused,) = visitor.errors
    assert refused.startswith("403 ")
    visitor.errors.clear()
