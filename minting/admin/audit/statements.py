"""Statements: a month for the accountant, to read, to print and as files."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import FileResponse, HttpRequest, HttpResponseBase, StreamingHttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse

from minting.admin import show
from minting.admin.exporting import XLSX, ExportedList, attached
from minting.admin.sheets import Row, csv_lines, xlsx_file
from minting.service.audit.statements import Line, Statement, months, statement

SHOWN = 1_000
"""Owners on the page; the files have them all."""

HEADERS = (
    "Month (UTC)",
    "Owner",
    "Readings",
    "Energy (kWh)",
    "Tokens (base units)",
    "Network fee (lamports)",
    "Priority fee (lamports)",
    "Rent (lamports)",
    "Corrections after minting",
    "Corrected, not minted (kWh)",
)

ALL = "all owners"


class StatementPages(ExportedList):
    """The part of the transactions' pages that adds them up."""

    def get_urls(self) -> list[URLPattern]:
        """Before the pages of rows."""
        view = self.admin_site.admin_view(self.statement_view)
        return [path("statements/", view, name="minting_statements"), *super().get_urls()]

    def statement_view(self, request: HttpRequest) -> HttpResponseBase:
        """The month that is asked for, else this one; ``form`` asks for a file."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        month = _asked(request.GET.get("month", ""))
        told = statement(month)
        name = f"statement-{month:%Y-%m}"
        form = request.GET.get("form")
        if form == "csv":
            lines = csv_lines(HEADERS, _rows(told))
            answer = StreamingHttpResponse(lines, content_type="text/csv")
            return attached(answer, f"{name}.csv")
        if form == "xlsx":
            file = xlsx_file(f"{month:%Y-%m}", HEADERS, _rows(told))
            return FileResponse(
                file, as_attachment=True, filename=f"{name}.xlsx", content_type=XLSX
            )
        # No row of the transactions' list: the page is named as the menu names it.
        context = self.page_context(request, title="Statements", opts=None, **_page(told))
        return TemplateResponse(request, "admin/minting/statement.html", context)


def _asked(text: str) -> date:
    """The month that a text names, else the newest; there is none after that."""
    newest = months()[0]
    try:
        return min(date.fromisoformat(f"{text}-01"), newest)
    except ValueError:
        return newest


def _page(told: Statement) -> dict[str, Any]:
    return {
        "month": told.month,
        "months": months(),
        "files": f"{reverse('admin:minting_statements')}?month={told.month:%Y-%m}&form=",
        "facts": [
            ("Readings", f"{told.total.readings:,}"),
            ("Energy", show.kwh(told.total.kwh)),
            ("Tokens", show.tokens(told.total.base_units)),
            ("Base units", f"{told.total.base_units:,}"),
            ("Network fee", _lamports(told.total.network_fee)),
            ("Priority fee", _lamports(told.total.priority_fee)),
            ("Rent of new token accounts", _lamports(told.total.rent)),
            ("Paid in all", _lamports(told.total.paid)),
            ("Transactions", _transactions(told)),
            ("Corrected after minting, not minted", _corrected(told.total)),
        ],
        "provisional": [
            ("Readings", f"{told.provisional.readings:,}"),
            ("Energy", show.kwh(told.provisional.kwh)),
            ("Tokens", show.tokens(told.provisional.base_units)),
            ("Paid", _lamports(told.provisional.paid)),
        ]
        if told.provisional.readings
        else [],
        **_table(told),
        "more": f"{len(told.owners) - SHOWN:,}" if len(told.owners) > SHOWN else "",
    }


def _table(told: Statement) -> dict[str, Any]:
    """Owner by owner, and the last line; in each column of kWh the points are in one place."""
    shown = told.owners[:SHOWN]
    lines = (*shown, told.total)
    kwh = max(show.places(line.kwh) for line in lines)
    corrected = max(show.places(line.corrected_kwh) for line in lines)
    return {
        "owners": [(line.owner or "no owner", _cells(line, kwh, corrected)) for line in shown],
        "total": _cells(told.total, kwh, corrected),
    }


def _cells(line: Line, kwh: int, corrected: int) -> list[str]:
    """As the table's headers ask for them; ``kwh`` and ``corrected`` are digits of kWh."""
    return [
        f"{line.readings:,}",
        f"{line.kwh:,.{kwh}f}",
        f"{line.base_units:,}",
        f"{line.network_fee:,}",
        f"{line.priority_fee:,}",
        f"{line.rent:,}",
        f"{line.corrected_kwh:,.{corrected}f}",
    ]


def _lamports(amount: int) -> str:
    return f"{show.lamports(amount)} ({show.sol(amount)})"


def _transactions(told: Statement) -> str:
    failed = f", of which {told.failed:,} failed and cost their fee" if told.failed else ""
    return f"{told.transactions:,}{failed}"


def _corrected(line: Line) -> str:
    return f"{show.kwh(line.corrected_kwh)}, {show.readings(line.corrections)}"


def _rows(told: Statement) -> Iterator[Row]:
    """Owner by owner, and all of them last."""
    for line in (*told.owners, told.total):
        yield (
            f"{told.month:%Y-%m}",
            ALL if line is told.total else line.owner,
            line.readings,
            line.kwh,
            line.base_units,
            line.network_fee,
            line.priority_fee,
            line.rent,
            line.corrections,
            line.corrected_kwh,
        )
