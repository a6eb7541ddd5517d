"""A day in the back office, from the log-in to the last retry.

A live server, a worker in a process of its own, a chain: nothing stands in for anything.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from django.core.management import call_command
from playwright.sync_api import Page, expect

from gridtoken.embedded.faults import FaultPlan
from minting.models import MintResult
from readings.models import MeterReading
from tests.browser.conftest import Visitor
from tests.browser.staging import PASSWORD, Workers, elsewhere, staff, workers
from tests.factories.readings import MeterReadingFactory, household
from tests.minting.conftest import MintingChain

__all__ = ["workers"]

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True),
    pytest.mark.timeout(300),
]

PATIENCE_MS = 60_000
TRANSACTION = re.compile(r"/admin/minting/minttransaction/[0-9a-f-]+/change/")
BATCH = re.compile(r"/admin/minting/mintbatch/[0-9a-f-]+/change/")
SLOWLY = FaultPlan(seed=3, delay=0.5, delay_slots=60)
"""Half of what is sent lands three seconds later."""
NOTHING_LANDS = FaultPlan(drop=1.0)

WATCH = """() => {
    window.widths = new Set();
    const bar = document.querySelector("[data-bar=minted]");
    const note = () => window.widths.add(bar.style.width);
    note();
    new MutationObserver(note).observe(bar, { attributes: true });
}"""
"""Also a mark that a reload would wipe away."""


def select_pending_and_mint(
    visitor: Visitor, *, readings: int, meanwhile: Callable[[], None] | None = None
) -> None:
    """Filter, select all, preview, mint; ends on the batch's page.

    Args:
        visitor: Who does it.
        readings: How many are pending.
        meanwhile: What happens while the preview is looked at.
    """
    page = visitor.page
    visitor.go("/admin/readings/meterreading/?status__exact=pending")
    expect(page.locator("tr.data-row")).to_have_count(readings)
    page.locator("#action-toggle").check()
    page.locator("[name=action]").select_option("mint_selected")
    page.get_by_role("button", name="Run").click()
    mint = page.get_by_role("button", name=f"Mint {readings} reading")
    see(mint)
    if meanwhile is not None:
        meanwhile()
    mint.click()
    page.wait_for_url(BATCH)


def value(page: Page, name: str) -> Any:
    return page.locator(f"#batch-live [data-value={name}]")


def badge(page: Page, words: str) -> Any:
    return page.locator("#batch-details").get_by_text(words, exact=True).first


def see(place: Any) -> None:
    """Sooner or later: a worker, a chain and a browser share two cores."""
    expect(place).to_be_visible(timeout=PATIENCE_MS)


def tells(place: Any, words: str) -> None:
    expect(place).to_contain_text(words, timeout=PATIENCE_MS)


def test_a_day(minting_chain: MintingChain, workers: Workers, visitor: Visitor):
    operator, auditor = staff("operator"), staff("auditor", may_act=False)
    minting_chain.settings.EXPLORER_URL = "https://explorer.example"
    for _ in range(9):
        MeterReadingFactory()
    frozen = household()
    elsewhere(lambda: minting_chain.open_account(frozen.wallet.address))
    frozen.reading()
    workers.start()
    visitor.log_in(operator.username, PASSWORD)

    first = mint_and_watch(minting_chain, visitor, freezing=frozen.wallet.address)
    open_a_signature(visitor)
    elsewhere(lambda: minting_chain.thaw(frozen.wallet.address))
    retry_what_failed(visitor, first)
    see_through_a_doubt(minting_chain, visitor)
    waited = wait_while_minting_is_stopped(visitor)
    workers.stop()
    cancelled = cancel_what_nobody_took_up(visitor)
    visitor.page.context.clear_cookies()
    visitor.log_in(auditor.username, PASSWORD)
    be_refused(visitor, waited, cancelled)

    minted = MintResult.objects.filter(success=True)
    assert minted.count() == MeterReading.objects.minted().count() == 13
    assert elsewhere(minting_chain.supply) == sum(minted.values_list("base_units", flat=True))


def mint_and_watch(chain: MintingChain, visitor: Visitor, *, freezing: str) -> str:
    """The bar moves to its end though nobody loads the page again; the batch's address.

    One wallet is frozen after the preview, so that its reading fails.
    """
    page = visitor.page
    chain.net.faults = SLOWLY
    select_pending_and_mint(visitor, readings=10, meanwhile=lambda: chain.freeze_now(freezing))
    page.evaluate(WATCH)
    see(badge(page, "partially succeeded"))
    expect(value(page, "minted")).to_have_text("9")
    expect(value(page, "failed")).to_have_text("1")
    chain.net.faults = FaultPlan()
    chain.net.wait_slots(40)
    elsewhere(partial(call_command, "recover"))  # as the schedule does every minute
    tells(value(page, "note"), "nothing of it can change any more")
    tells(page.locator(".gt-story"), "Asked for in the admin by operator")
    tells(page.locator(".gt-story"), "Finalized")
    widths = page.evaluate("[...window.widths]")
    assert len(widths) > 2, widths
    assert (widths[0], widths[-1]) == ("0%", "90%"), widths
    assert page.get_by_role("progressbar").get_attribute("aria-valuenow") == "100"
    visitor.pictures("batch")
    return str(page.url)


def open_a_signature(visitor: Visitor) -> None:
    """The transaction, the way out to the explorer, and the readings that it pays."""
    page = visitor.page
    signature = page.locator("#batch-details td a[href*=minttransaction]").first
    whole = signature.get_attribute("title")
    signature.click()
    page.wait_for_url(TRANSACTION)
    see(page.get_by_text(whole).first)
    out = page.get_by_role("link", name="Show the transaction in the explorer")
    expect(out).to_have_attribute("href", f"https://explorer.example/tx/{whole}")
    visitor.go(f"/admin/readings/meterreading/?q={whole}")
    expect(page.locator("tr.data-row")).not_to_have_count(0)
    see(page.locator(f"[title='{whole}']").first)


def retry_what_failed(visitor: Visitor, first: str) -> None:
    """Of one reason, once its cause is gone; both batches lead to each other."""
    page = visitor.page
    page.goto(first)
    tells(page.locator("#batch-details"), "Remove the cause, then retry")
    page.get_by_role("link", name=re.compile("Retry 1 reading that failed")).click()
    see(page.get_by_text("1 reading may be minted now"))
    visitor.pictures("retry")
    page.get_by_role("button", name="Retry 1 reading").click()
    page.wait_for_url(lambda url: BATCH.search(url) is not None and url != first)
    see(badge(page, "succeeded"))
    page.get_by_role("link", name="an earlier batch").click()
    page.wait_for_url(first)
    tells(page.locator(".gt-story"), "Tried again by operator")


def see_through_a_doubt(chain: MintingChain, visitor: Visitor) -> None:
    """Lost on the way, proven dead, signed anew, minted once."""
    page = visitor.page
    for _ in range(2):
        MeterReadingFactory()
    chain.net.faults = NOTHING_LANDS
    select_pending_and_mint(visitor, readings=2)
    see(page.get_by_role("heading", name="In doubt: neither landed"))
    expect(value(page, "doubt")).to_have_text("2")
    visitor.pictures("batch-in-doubt")
    chain.net.faults = FaultPlan()
    page.get_by_role("button", name="Look again").click()
    page.wait_for_url(TRANSACTION)
    visitor.pictures("transaction-in-doubt")
    page.go_back()
    see(badge(page, "succeeded"))
    tells(page.locator("#batch-details"), "proven dead, which cost nothing")


def wait_while_minting_is_stopped(visitor: Visitor) -> str:
    """Its page says why it waits, and goes on when minting does."""
    page = visitor.page
    MeterReadingFactory()
    visitor.go("/admin/minting/mintingstop/stop/")
    page.locator("[name=reason]").fill("the tariff is wrong")
    page.get_by_role("button", name="Stop minting").click()
    see(page.get_by_text("Minting is stopped").first)
    select_pending_and_mint(visitor, readings=1)
    tells(value(page, "note"), "Minting is stopped (the tariff is wrong)")
    waiting = str(page.url)
    visitor.go("/admin/minting/mintingstop/resume/")
    page.get_by_role("button", name="Resume minting").click()
    see(page.get_by_text("Minting goes on."))
    page.goto(waiting)
    see(badge(page, "succeeded"))
    tells(page.locator(".gt-story"), "Minting resumed by operator")
    return waiting


def cancel_what_nobody_took_up(visitor: Visitor) -> str:
    """Asked once, with what it will do; the address of the page that asks."""
    page = visitor.page
    for _ in range(3):
        MeterReadingFactory()
    select_pending_and_mint(visitor, readings=3)
    expect(value(page, "note")).to_have_text("It waits for a worker.")
    page.get_by_role("link", name="Cancel batch").click()
    see(page.get_by_text("3 readings in no signed transaction: free again"))
    asked = str(page.url)
    visitor.pictures("cancel")
    page.get_by_role("button", name="Cancel batch").click()
    see(badge(page, "cancelled"))
    tells(page.locator(".gt-story"), "Cancelled by operator before anything was signed")
    return asked


def be_refused(visitor: Visitor, batch: str, cancelling: str) -> None:
    """Whoever may only look is offered nothing, and refused what was not offered."""
    page = visitor.page
    visitor.go("/admin/readings/meterreading/?status__exact=pending")
    expect(page.locator("tr.data-row")).to_have_count(3)
    expect(page.locator("[name=action]")).to_have_count(0)
    page.goto(batch)
    see(badge(page, "succeeded"))
    expect(page.get_by_role("link", name=re.compile("Cancel batch|Retry"))).to_have_count(0)
    assert visitor.errors == []
    page.goto(cancelling)
    expect(page.get_by_role("button", name="Cancel batch")).to_have_count(0)
    assert [error.partition(" ")[0] for error in visitor.errors] == ["403"]
    visitor.errors.clear()
