"""The dashboard: alive by itself, whole while a node is silent; the switch; who changed what."""

from __future__ import annotations

import socket
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from playwright.sync_api import Page, expect

from minting.models import BatchSource, MintBatch, MintingStop
from minting.service.requests.prepare import request_batch
from minting.service.watch import chain_health, worker_health
from readings.models import MeterReading, Owner
from tests.browser.conftest import Visitor, elsewhere
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


def test_an_operator_stops_and_an_administrator_resumes(
    groups: None, minting_chain: Any, worker: Callable[[], None], visitor: Visitor
):
    _member("operator", "Operator")
    _member("admin", "Administrator")
    household().reading()
    page = visitor.page
    visitor.log_in("operator", "password")
    page.get_by_role("link", name="Stop minting…").click()
    expect(page.get_by_text("Nothing new is signed anywhere")).to_be_visible()
    visitor.pictures("stop")
    page.get_by_role("button", name="Stop minting").click()
    expect(page.locator("[name=reason]")).to_be_focused()  # it has to be said why
    page.fill("[name=reason]", "the tariff is wrong")
    page.get_by_role("button", name="Stop minting").click()

    expect(page.get_by_text("by operator since")).to_be_visible()
    expect(page.get_by_text("the tariff is wrong").first).to_be_visible()
    expect(page.get_by_role("link", name="Resume minting…")).to_have_count(0)
    visitor.pictures("stopped")
    readings = list(MeterReading.objects.values_list("id", flat=True))
    batch = elsewhere(lambda: request_batch(readings, source=BatchSource.CLI, strict=True))
    worker()
    expect(page.get_by_text("0 of 1 reading minted")).to_be_visible()

    visitor.log_out()
    visitor.log_in("admin", "password")
    page.get_by_role("link", name="Resume minting…").click()
    expect(page.get_by_text("Stopped by operator since")).to_be_visible()
    visitor.pictures("resume")
    page.get_by_role("button", name="Resume minting").click()
    expect(page.get_by_text("Minting is on")).to_be_visible()
    worker()
    expect(page.locator("[data-figure='Minted today (UTC)']")).to_have_text("1")
    batch.refresh_from_db()
    stop = MintingStop.objects.get()
    assert (stop.stopped_by, stop.resumed_by, batch.status) == ("operator", "admin", "succeeded")


def test_whoever_may_not_is_refused(groups: None, visitor: Visitor):
    _member("auditor", "Auditor")
    page = visitor.page
    visitor.log_in("auditor", "password")
    expect(page.get_by_text("Minting is on")).to_be_visible()
    expect(page.get_by_text("Stop minting…")).to_have_count(0)
    expect(page.get_by_text("Select readings to mint")).to_have_count(0)
    expect(page.get_by_text("No worker runs")).to_be_visible()
    visitor.pictures("empty")
    within_reach_of_the_keyboard(page)
    for address in ("stop", "resume"):
        answer = page.request.get(f"{visitor.base}/admin/minting/mintingstop/{address}/")
        assert answer.status == 403
    assert not MintingStop.objects.exists()


def within_reach_of_the_keyboard(page: Page) -> None:
    """What unfold draws for the mouse alone, the menus above all; and a way past them."""
    page.reload()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip the menu")).to_be_focused()
    menu, dashboard = page.locator("#nav-sidebar-inner"), page.get_by_role("link", name="Dashboard")
    expect(dashboard).to_be_visible()
    page.get_by_role("button", name="Show or hide the menu").focus()
    page.keyboard.press("Enter")
    expect(menu).to_be_hidden()
    page.keyboard.press("Space")
    expect(menu).to_be_visible()
    page.get_by_role("button", name="auditor").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Log out")).to_be_visible()
    page.keyboard.press("Enter")
    assert page.evaluate("document.querySelector('#main').role") == "main"
    # The name of an icon is no word.
    expect(dashboard).to_have_accessible_name("Dashboard")


def test_a_silent_node_breaks_nothing(
    minting_chain: Any, chief: User, visitor: Visitor, settings: Any, monkeypatch: Any
):
    journal.minted_batch(readings=3)
    monkeypatch.setattr(chain_health, "KEPT", timedelta(0))
    elsewhere(chain_health.look)
    page = visitor.page
    with Silence() as silent:
        settings.SOLANA_RPC_URLS = [silent.url]
        visitor.log_in("chief", "password")
        # The tables' part is there at once; the chain's comes when its time is over.
        expect(page.get_by_text("Minting is on")).to_be_visible(timeout=2_000)
        expect(page.get_by_text("Asking the nodes…")).to_be_visible()
        expect(page.get_by_text("No node answers since")).to_be_visible()
        expect(page.get_by_text("as of", exact=False).first).to_be_visible()
        visitor.pictures("silent")
        settings.SOLANA_RPC_URLS = [minting_chain.net.url]
    expect(page.get_by_text("No node answers since")).to_have_count(0)
    expect(page.locator("[data-part=chain]").get_by_text("well", exact=True)).to_be_visible()


def test_nothing_is_asked_while_nobody_looks(chief: User, visitor: Visitor):
    page = visitor.page
    visitor.log_in("chief", "password")
    expect(page.get_by_text("No worker runs")).to_be_visible()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    hidden = "Object.defineProperty(document, 'hidden', {{ value: {}, configurable: true }});"
    turn = " document.dispatchEvent(new Event('visibilitychange'));"
    page.evaluate(hidden.format("true") + turn)
    page.wait_for_timeout(500)  # what was under way comes to its end
    asked.clear()
    page.wait_for_timeout(4_000)
    assert asked == []
    with page.expect_request("**/admin/dashboard/work/"):
        page.evaluate(hidden.format("false") + turn)


def test_a_change_is_looked_up(chief: User, visitor: Visitor):
    owner = Owner.objects.create(user_id="user-17", name="Mali", email="mali@example.org")
    page = visitor.page
    visitor.log_in("chief", "password")
    visitor.go(f"/admin/readings/owner/{owner.pk}/change/")
    page.fill("[name=email]", "mali@example.com")
    page.get_by_role("button", name="Save", exact=True).click()
    page.wait_for_url("**/admin/readings/owner/")
    visitor.go(f"/admin/readings/owner/{owner.pk}/change/")
    page.locator("#main").get_by_role("link", name="History").first.click()
    visitor.pictures("history")
    expect(page.locator("td", has_text="mali@example.com").first).to_be_visible()
    expect(page.locator("td", has_text="chief").first).to_be_visible()
    visitor.go("/admin/auditlog/logentry/")
    visitor.pictures("changes")
    page.locator("#result_list a").first.click()
    expect(page.get_by_text("mali@example.org").first).to_be_visible()
    visitor.pictures("change")


def _member(name: str, group: str) -> User:
    user = User.objects.create_user(name, password="password", is_staff=True)
    user.groups.set([Group.objects.get(name=group)])
    return user


class Silence:
    """A port that takes calls and answers none."""

    def __enter__(self) -> Silence:
        self._socket = socket.socket()
        self._socket.bind(("127.0.0.1", 0))
        self._socket.listen(64)
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()
