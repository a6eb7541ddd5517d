"""Lists as files: the same rows as the list, exact, defused, streamed."""

from __future__ import annotations

import csv
from datetime import UTC, datetime
from decimal import Decimal
from io import BytesIO, StringIO
from uuid import UUID

import pytest
from django.urls import reverse
from hypothesis import given
from hypothesis import strategies as st
from openpyxl import load_workbook

from minting.admin import exporting
from minting.admin.sheets import csv_lines, xlsx_file
from minting.models import MintResult
from readings.models import MeterReading
from tests.minting.admin import journal

VIEW = ("minting.view_minttransaction", "minting.view_mintresult", "readings.view_meterreading")


def exported(client, model: str, form: str, query: str = "") -> bytes:
    answer = client.get(reverse(f"admin:{model}_export", args=[form]) + query)
    assert answer.status_code == 200
    assert f".{form}" in answer["Content-Disposition"]
    assert answer.streaming
    return b"".join(answer.streaming_content)


def as_csv(file: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(StringIO(file.decode())))


def as_xlsx(file: bytes) -> list[dict[str, object]]:
    headers, *rows = load_workbook(BytesIO(file)).active.iter_rows(values_only=True)
    return [dict(zip(headers, row, strict=True)) for row in rows]


@pytest.mark.django_db(transaction=True)
def test_a_list_is_exported_as_it_is_filtered(staff, monkeypatch):
    minted, failed = journal.minted_batch(readings=2), journal.failed_batch(readings=1)
    MeterReading.objects.filter(status="failed").update(external_id="=HYPERLINK(1)")
    MintResult.objects.filter(batch=minted).update(base_units=2**64 - 1, kwh_amount="0.100000000")
    auditor = staff("auditor", *VIEW)

    rows = as_csv(exported(auditor, "minting_mintresult", "csv", "?status__exact=finalized"))
    assert {UUID(row["Result"]) for row in rows} == {each.id for each in minted.results.all()}
    assert {row["Amount (base units)"] for row in rows} == {"18446744073709551615"}
    assert {Decimal(row["Energy (kWh)"]) for row in rows} == {Decimal("0.1")}
    assert all(row["Period end (UTC)"].endswith("Z") for row in rows)
    one = minted.results.first()
    found = as_csv(exported(auditor, "minting_mintresult", "csv", f"?q={one.reading_id}"))
    assert [row["Reading"] for row in found] == [str(one.reading_id)]

    sheet = as_xlsx(exported(auditor, "minting_mintresult", "xlsx", f"?batch={minted.pk}"))
    assert {row["Amount (base units)"] for row in sheet} == {"18446744073709551615"}
    assert {row["Energy (kWh)"] for row in sheet} == {0.1}

    paid = minted.transactions.get()
    signatures = as_csv(exported(auditor, "minting_minttransaction", "csv"))
    assert {row["Signature"] for row in signatures} == {
        paid.signature,
        failed.transactions.get().signature,
    }
    told = next(row for row in signatures if row["Signature"] == paid.signature)
    assert told["Readings"] == "2"
    assert told["Memo root"] == bytes(paid.memo_root).hex()

    for form, read in (("csv", as_csv), ("xlsx", as_xlsx)):
        readings = read(exported(auditor, "readings_meterreading", form, "?status__exact=failed"))
        assert [row["External id"] for row in readings] == ["'=HYPERLINK(1)"]
    page = auditor.get(reverse("admin:minting_mintresult_changelist") + "?status__exact=finalized")
    assert 'href="export/csv/?status__exact=finalized"' in page.content.decode()

    monkeypatch.setattr(exporting, "MAX_XLSX_ROWS", 2)
    url = reverse("admin:minting_mintresult_export", args=["xlsx"])
    answer = auditor.get(url + "?status__exact=finalized", follow=True)
    assert "A sheet holds 1 rows" in answer.content.decode()
    assert answer.redirect_chain[-1][0].endswith("?status__exact=finalized")
    assert staff("stranger", *VIEW[:1]).get(url).status_code == 403
    assert auditor.get(url.replace("xlsx", "exe")).status_code == 404


@given(
    st.lists(
        st.tuples(
            st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\x00")),
            st.decimals(-(10**11), 10**11, places=9),
            st.integers(0, 2**64 - 1),
        ),
        max_size=5,
    )
)
def test_numbers_are_exact_and_no_text_is_a_formula(rows):
    moment = datetime(2026, 11, 24, tzinfo=UTC)
    headers = ["text", "kWh", "units", "when"]
    lines = "".join(csv_lines(headers, [(*row, moment) for row in rows]))
    read = list(csv.reader(StringIO(lines, newline="")))[1:]
    assert [(Decimal(kwh), int(units), when) for _, kwh, units, when in read] == [
        (kwh, units, "2026-11-24T00:00:00Z") for _, kwh, units in rows
    ]
    for text, *_ in read:
        assert text[:1] not in {*"=+-@\t\r\n"} or text == ""
    with xlsx_file("rows", headers, rows) as file:
        sheet = list(load_workbook(file).active.iter_rows(min_row=2))
    for (text, kwh, units), (first, second, third, *_) in zip(rows, sheet, strict=True):
        assert first.data_type != "f", text
        assert Decimal(str(second.value)) == kwh
        assert int(third.value) == units
