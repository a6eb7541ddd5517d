"""A batch's page keeps itself up to date, and tells when it cannot."""

from __future__ import annotations

import time
from typing import Any

import pytest
from playwright.sync_api import Page, Request, expect

from minting.models import MintBatch
from tests.browser.conftest import Visitor
from tests.browser.staging import PASSWORD, staff
from tests.minting.admin import journal

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

PROGRESS = "**/progress/"
CALM = 5
"""Tenths of a second without a question: what one answer leads to is asked at once."""
AWAY = """away => {
    window.away = away;
    Object.defineProperty(document, "hidden", { configurable: true, get: () => window.away });
    document.dispatchEvent(new Event("visibilitychange"));
}"""


def value(page: Page, name: str) -> Any:
    return page.locator(f"#batch-live [data-value={name}]")


class Questions:
    """What a page asks, from when it is open."""

    def __init__(self, visitor: Visitor, batch: MintBatch) -> None:
        self._page = page = visitor.page
        self.asked: list[str] = []
        self._unanswered: set[Request] = set()
        page.on("request", self._note)
        page.on("requestfinished", self._answered)
        page.on("requestfailed", self._answered)
        page.clock.install()
        visitor.go(f"/admin/minting/mintbatch/{batch.pk}/change/")

    def _note(self, request: Request) -> None:
        if request.resource_type == "fetch":
            self.asked.append(request.url)
            self._unanswered.add(request)

    def _answered(self, request: Request) -> None:
        self._unanswered.discard(request)

    def within(self, seconds: int) -> list[str]:
        """All it asks in so long, once what it asked before is answered."""
        calm, give_up = 0, time.monotonic() + 30
        while calm < CALM:
            assert time.monotonic() < give_up, self._unanswered
            self._page.wait_for_timeout(100)
            calm = 0 if self._unanswered else calm + 1
        self.asked.clear()
        self._page.clock.run_for(seconds * 1_000)
        self._page.wait_for_timeout(100 * CALM)
        return self.asked


def test_a_page_tells_that_it_lost_its_connection_and_goes_on_when_it_has_it_again(
    visitor: Visitor,
):
    page = visitor.page
    staff("operator")
    batch = journal.open_batch(readings=2)
    visitor.log_in("operator", PASSWORD)
    questions = Questions(visitor, batch)
    lost = page.locator("[data-connection]")
    expect(value(page, "note")).to_have_text("It waits for a worker.")
    expect(lost).to_be_hidden()

    page.route(PROGRESS, lambda route: route.abort())
    expect(lost).to_contain_text("No connection since")
    visitor.picture("lost")
    page.unroute(PROGRESS)
    expect(lost).to_be_hidden()

    # Where the keyboard is, it stays, though the button under it is another one now.
    page.get_by_role("link", name="Audit pack").focus()
    doubtful = journal.doubtful_batch()
    doubtful.transactions.update(batch=batch, slice=batch.slices.get())
    expect(page.get_by_role("heading", name="In doubt: neither landed")).to_be_visible()
    expect(page.get_by_role("link", name="Audit pack")).to_be_focused()

    # Nobody looks: nothing is asked, until somebody does.
    assert questions.within(30) != []
    page.evaluate(AWAY, True)
    assert questions.within(30) == []
    with page.expect_request(PROGRESS):
        page.evaluate(AWAY, False)

    # It is over: nothing is asked any more.
    batch.transactions.update(status="finalized", slot=5, doubted_at=None)
    MintBatch.objects.filter(pk=batch.pk).update(status="succeeded", successful_mints=2)
    expect(value(page, "note")).to_contain_text("nothing of it can change any more")
    expect(page.locator("#batch-details").get_by_text("succeeded", exact=True)).to_be_visible()
    expect(page.get_by_role("heading", name="In doubt: neither landed")).to_have_count(0)
    questions.within(30)  # what it shows may be younger than what it asked for last
    assert questions.within(30) == []


def test_who_is_logged_out_is_told_and_a_signature_is_copied(visitor: Visitor):
    page = visitor.page
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    staff("operator")
    batch = journal.doubtful_batch()
    visitor.log_in("operator", PASSWORD)
    visitor.go(f"/admin/minting/mintbatch/{batch.pk}/change/")

    page.get_by_role("button", name="Copy the signature").first.click()
    expect(page.get_by_role("button", name="Copied").first).to_be_visible()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == batch.transactions.get().signature

    page.context.clear_cookies()
    expect(page.locator("[data-connection]")).to_contain_text("You are logged out")
