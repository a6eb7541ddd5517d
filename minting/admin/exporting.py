"""A list as a file: what is filtered and searched for, in the list's order, whatever its size."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from django.contrib import messages
from django.contrib.admin.options import IncorrectLookupParameters
from django.core.exceptions import PermissionDenied
from django.db.models import Func, IntegerField, QuerySet
from django.http import (
    FileResponse,
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
    StreamingHttpResponse,
)
from django.shortcuts import redirect
from django.urls import URLPattern, path, reverse

from minting.admin.base import FoundByShape
from minting.admin.sheets import MAX_XLSX_ROWS, Row, csv_lines, xlsx_file

FETCHED = 2_000
"""Rows that come from the database's cursor at a time."""

READING_COLUMNS: Mapping[str, Any] = {
    "Reading": "id",
    "Meter": "meter__serial",
    "Owner": "owner__user_id",
    "Energy (kWh)": "kwh_amount",
    "Period start (UTC)": "period_start",
    "Period end (UTC)": "period_end",
    "Status": "status",
    "Code": "code",
    "Paid to wallet": "result_wallet",
    "Amount (base units)": "result_units",
    "Transaction signature": "tx_signature",
    "Revision": "revision",
    "Current": "is_current",
    "Correction (kWh)": "correction_difference",
    "Verification": "verification",
    "Source": "source",
    "External id": "external_id",
    "Submitted (UTC)": "submitted_at",
}

RESULT_COLUMNS: Mapping[str, Any] = {
    "Result": "id",
    "Reading": "reading_id",
    "Batch": "batch_id",
    "Meter": "reading__meter__serial",
    "Period start (UTC)": "reading__period_start",
    "Period end (UTC)": "reading__period_end",
    "Owner": "user_id",
    "Wallet": "wallet_address",
    "Energy (kWh)": "kwh_amount",
    "Amount (base units)": "base_units",
    "Status": "status",
    "Transaction signature": "transaction__signature",
    "Slot": "slot",
    "Error code": "error_code",
    "Error": "error",
    "Settled (UTC)": "settled_at",
}

TRANSACTION_COLUMNS: Mapping[str, Any] = {
    "Signature": "signature",
    "Status": "status",
    "Batch": "batch_id",
    "Readings": Func("reading_ids", function="cardinality", output_field=IntegerField()),
    "Amount (base units)": "base_units",
    "Network fee (lamports)": "network_fee_lamports",
    "Priority fee (lamports)": "priority_fee_lamports",
    "Rent (lamports)": "rent_lamports",
    "Slot": "slot",
    "Signed (UTC)": "signed_at",
    "Sent (UTC)": "sent_at",
    "Confirmed (UTC)": "confirmed_at",
    "Finalized (UTC)": "finalized_at",
    "Fee payer": "fee_payer",
    "Mint": "mint_address",
    "Cluster (genesis hash)": "genesis_hash",
    "Memo root": "memo_root",
}

XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


class ExportedList(FoundByShape):
    """A list with two buttons: CSV and XLSX."""

    list_before_template = "admin/minting/export_buttons.html"
    export_columns: Mapping[str, Any] = {}
    """Header, with its unit, and the column or expression beneath it."""

    def get_urls(self) -> list[URLPattern]:
        """Before the pages of rows."""
        name = f"{self.opts.app_label}_{self.opts.model_name}_export"
        own = path("export/<str:kind>/", self.admin_site.admin_view(self.export_view), name=name)
        return [own, *super().get_urls()]

    def export_view(self, request: HttpRequest, kind: str) -> HttpResponseBase:
        """The list that the query string describes, as ``csv`` or ``xlsx``."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        if kind not in ("csv", "xlsx"):
            return HttpResponse(status=404)
        page = f"admin:{self.opts.app_label}_{self.opts.model_name}_changelist"
        back = redirect(f"{reverse(page)}?{request.GET.urlencode()}")
        try:
            found = self.get_changelist_instance(request).queryset
        except IncorrectLookupParameters:
            return redirect(page)
        if kind == "csv":
            lines = csv_lines(list(self.export_columns), self.exported(found))
            return attached(StreamingHttpResponse(lines, content_type="text/csv"), self._file(kind))
        if found.order_by().values("pk")[:MAX_XLSX_ROWS].count() == MAX_XLSX_ROWS:
            self.message_user(
                request,
                f"A sheet holds {MAX_XLSX_ROWS - 1:,} rows, and these are more: "
                "filter the list, or take CSV.",
                messages.ERROR,
            )
            return back
        title = str(self.opts.verbose_name_plural).capitalize()
        file = xlsx_file(title, list(self.export_columns), self.exported(found))
        return FileResponse(file, as_attachment=True, filename=self._file(kind), content_type=XLSX)

    def exported(self, found: QuerySet[Any]) -> Iterator[Row]:
        """Rows from a cursor of the server's: no more in memory than are fetched at once."""
        rows = found.values_list(*self.export_columns.values())
        return iter(rows.iterator(chunk_size=FETCHED))

    def _file(self, kind: str) -> str:
        what = str(self.opts.verbose_name_plural).replace(" ", "-")
        return f"{what}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.{kind}"


def attached(answer: StreamingHttpResponse, name: str) -> StreamingHttpResponse:
    """The answer, to be saved as ``name``."""
    answer["Content-Disposition"] = f'attachment; filename="{name}"'
    return answer
