"""An auditor verifies a transaction, takes a list home, and prints the month."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest
from playwright.sync_api import expect

from minting.models import BatchSource, MintResult, MintTransaction
from minting.service.chain.session import open_session
from minting.service.drive.recover import recover
from minting.service.requests.prepare import request_batch
from tests.browser.conftest import PICTURES, Visitor, elsewhere
from tests.browser.staging import PASSWORD, staff
from tests.factories.village import harvest, village

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def settle() -> None:
    with open_session() as session:
        recover(session)


def test_books(minting_chain, visitor: Visitor, worker):
    readings = [*harvest(village(3), each=2), *harvest(village(2))]
    ids = [each.id for each in readings]
    elsewhere(lambda: request_batch(ids, source=BatchSource.CLI, strict=True))
    worker()
    minting_chain.net.wait_slots(40)
    elsewhere(settle)
    staff("auditor", may_act=False)
    visitor.log_in("auditor", PASSWORD)
    page = visitor.page

    visitor.go(f"/admin/readings/meterreading/{ids[0]}/change/")
    page.locator("a[href*='/minttransaction/'][href$='/change/']").first.click()
    page.get_by_text("Verify on chain").click()
    expect(page.get_by_text("Journal and chain agree.")).to_be_visible()
    visitor.pictures("agrees")
    MintResult.objects.filter(reading=ids[0]).update(base_units=1)
    page.reload()
    expect(page.get_by_text("Journal and chain differ.")).to_be_visible()
    visitor.pictures("differs")
    MintResult.objects.filter(reading=ids[0]).update(base_units=250_000_000)

    visitor.go("/admin/minting/mintresult/?status__exact=finalized")
    visitor.pictures("list")
    with page.expect_download() as download:
        page.get_by_text("Export CSV").click()
    rows = list(csv.DictReader(Path(download.value.path()).read_text().splitlines()))
    assert {row["Reading"] for row in rows} == {str(each) for each in ids}

    page.get_by_role("link", name=re.compile("Statements")).first.click()
    expect(page.get_by_text("Owner by owner")).to_be_visible()
    visitor.pictures("statement")
    page.emulate_media(media="print")
    visitor.picture("paper")
    page.pdf(path=PICTURES / "books-statement.pdf")
    page.emulate_media(media="screen")
    with page.expect_download() as download:
        page.get_by_text("XLSX", exact=True).click()
    assert re.fullmatch(r"statement-\d{4}-\d\d\.xlsx", download.value.suggested_filename)
    assert MintTransaction.objects.count() == 1
