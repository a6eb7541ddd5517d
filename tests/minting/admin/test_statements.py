"""Statements: every final mint and lamport in exactly one month, and as the chain has them."""

from __future__ import annotations

import csv
import re
from datetime import UTC, date, datetime
from decimal import Decimal
from io import BytesIO, StringIO

import pytest
from django.db.models import F, Sum
from django.urls import reverse
from openpyxl import load_workbook

from minting.models import BatchSource, MintBatch, MintResult, MintTransaction
from minting.service.audit.reconcile import reconcile
from minting.service.audit.statements import Line, months, statement
from minting.service.chain.session import open_session
from minting.service.drive.recover import recover
from minting.service.requests.prepare import request_batch
from readings.intake import correct
from readings.models import MeterReading
from readings.rules import ReadingSource
from tests.factories.village import Villager, harvest, village
from tests.minting.admin import journal

pytestmark = pytest.mark.django_db(transaction=True)


def mint(readings: list[MeterReading]) -> None:
    request_batch([each.id for each in readings], source=BatchSource.CLI, strict=True)


def corrected(reading: MeterReading, kwh: str) -> None:
    correct(
        reading_id=reading.id,
        kwh_amount=Decimal(kwh),
        reason="read again",
        source=ReadingSource.API,
    )


def everything() -> Line:
    total = Line()
    for month in months():
        told = statement(month)
        summed = Line()
        for line in told.owners:
            summed.add(line)
        assert summed == told.total, "owners add up to all of them"
        total.add(told.total)
    return total


def test_statements_add_up_to_journal_chain_and_batches(minting_chain, drain, staff):
    several, late = village(3), village(1)
    # One transaction shared by three owners, unequally; its fee divides with a remainder.
    shared = [*harvest(several, each=2), *harvest(several[:1])]
    mint(shared)
    drain()
    minting_chain.net.wait_slots(40)
    with open_session() as session:
        recover(session)
    # The month before: what was noted then stays there.
    MintTransaction.objects.update(finalized_at=datetime(2026, 9, 30, 23, 59, 59, tzinfo=UTC))
    harvested = harvest(late, each=2)
    mint(harvested)
    drain()
    with open_session() as session:
        recover(session)
    check_provisional(late)
    minting_chain.net.wait_slots(40)
    with open_session() as session:
        recover(session)
        run = reconcile(session, thorough=True).run
    corrected(harvested[0], "0.100000000")
    corrected(harvested[0], "0.300000000")

    total = everything()
    final = MintResult.objects.filter(status="finalized")
    assert total.readings == final.count() == 9
    assert total.base_units == final.aggregate(sum=Sum("base_units"))["sum"]
    assert total.base_units == run.supply_explained == run.supply_on_chain
    assert run.status == "clean"
    assert total.kwh == final.aggregate(sum=Sum("kwh_amount"))["sum"]
    paid = MintBatch.objects.aggregate(
        fees=Sum("fee_paid_lamports"), rent=Sum("rent_paid_lamports")
    )
    assert (total.fees, total.rent) == (paid["fees"], paid["rent"])
    assert (total.corrections, total.corrected_kwh) == (2, Decimal("0.05"))

    september = statement(date(2026, 9, 30))
    assert [line.owner for line in september.owners] == sorted(
        each.owner.user_id for each in several
    )
    readings = {line.owner: line.readings for line in september.owners}
    assert [readings[each.owner.user_id] for each in several] == [3, 2, 2]
    assert len({line.network_fee for line in september.owners}) > 1
    assert all(line.rent for line in september.owners), "each had an account opened"
    assert months()[-1] == date(2026, 9, 1)
    pages(september.owners, staff)


def check_provisional(late: list[Villager]) -> None:
    """What is only confirmed is told apart."""
    told = statement(datetime.now(UTC).date())
    confirmed = MintResult.objects.filter(status="confirmed")
    assert told.provisional.readings == confirmed.count()
    assert told.total.readings + told.provisional.readings == 2, late[0].owner.user_id


def pages(lines, staff) -> None:
    auditor = staff("auditor", "minting.view_minttransaction")
    url = reverse("admin:minting_statements")
    page = auditor.get(f"{url}?month=2026-09").content.decode()
    assert "Statement of September 2026 (UTC)" in page
    assert url in page, "in the sidebar"
    energy = re.findall(r"</th><td>[^<]+</td><td>([^<]+)</td>", page)
    assert energy == ["0.75", "0.50", "0.50", "1.75"], "the points stand under each other"
    for month in ("nonsense", "9999-12", "0001-01"):
        assert auditor.get(f"{url}?month={month}").status_code == 200
    crumbs = page.partition("<h1")[2].partition("</h1>")[0]
    assert "Statements" in crumbs
    assert "Transactions" not in crumbs
    answer = auditor.get(f"{url}?month=2026-09&form=csv")
    rows = list(csv.DictReader(StringIO(answer.getvalue().decode())))
    assert [row["Owner"] for row in rows] == [*(line.owner for line in lines), "all owners"]
    assert sum(int(row["Rent (lamports)"]) for row in rows[:-1]) == int(rows[-1]["Rent (lamports)"])
    answer = auditor.get(f"{url}?month=2026-09&form=xlsx")
    sheet = load_workbook(BytesIO(answer.getvalue())).active
    assert [row[2] for row in sheet.iter_rows(min_row=2, values_only=True)] == [3, 2, 2, 7]
    assert staff("stranger", "minting.view_mintresult").get(url).status_code == 403


def test_what_failed_on_chain_costs_its_fee_and_mints_nothing():
    batch = journal.failed_batch(readings=3)
    MintTransaction.objects.update(
        status="failed",
        slot=5,
        error={"InstructionError": [0, {"Custom": 1}]},
        finalized_at=datetime(2026, 10, 1, tzinfo=UTC),
    )
    MintResult.objects.filter(batch=batch).update(user_id=F("id"))
    told = statement(date(2026, 10, 1))
    row = batch.transactions.get()
    assert (told.transactions, told.failed) == (1, 1)
    assert (told.total.readings, told.total.base_units, told.total.rent) == (0, 0, 0)
    assert told.total.network_fee == row.network_fee_lamports
    assert sum(line.network_fee for line in told.owners) == row.network_fee_lamports
    assert len(told.owners) == 3
    assert statement(date(2026, 9, 1)).transactions == 0
