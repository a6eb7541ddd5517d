"""Receipts: a file to hand to the owner, and a page that checks one against the chain."""

from __future__ import annotations

from uuid import UUID

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.core.files.uploadedfile import UploadedFile
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.safestring import SafeString
from unfold.widgets import UnfoldAdminFileFieldWidget

from minting.admin import show, tables
from minting.admin.base import FoundByShape
from minting.engine.errors import BlockchainError, ReceiptRefused
from minting.engine.receipt_file import MAX_SIZE, read_receipt, write_receipt
from minting.models import MintResult
from minting.service.audit.receipts import Checked, check, receipt_of
from minting.service.chain.session import open_session


class ReceiptForm(forms.Form):
    """A receipt that somebody brings."""

    file = forms.FileField(
        label="Receipt",
        widget=UnfoldAdminFileFieldWidget(attrs={"accept": "application/json,.json"}),
        help_text="The file that the owner was handed. It is read, compared and forgotten.",
    )

    def clean_file(self) -> bytes:
        """Its bytes, as many as a receipt may have."""
        file: UploadedFile = self.cleaned_data["file"]
        if (file.size or 0) > 2 * MAX_SIZE:
            raise forms.ValidationError("The file is larger than any receipt")
        return bytes(file.read())


class ReceiptPages(FoundByShape):
    """The part of the results' pages that is about receipts."""

    change_form_outer_before_template = "admin/minting/receipt_button.html"

    def get_urls(self) -> list[URLPattern]:
        """Before the pages of rows."""
        view = self.admin_site.admin_view
        return [
            path("check-receipt/", view(self.check_view), name="minting_mintresult_check"),
            path("<uuid:result_id>/receipt/", view(self.receipt_view), name="minting_receipt"),
            *super().get_urls(),
        ]

    def receipt_view(self, request: HttpRequest, result_id: UUID) -> HttpResponse:
        """The receipt, as a file; whoever sees the result may have it."""
        result = get_object_or_404(MintResult, id=result_id)
        if not self.has_view_permission(request, result):
            raise PermissionDenied
        try:
            receipt = receipt_of(result.id)
        except ReceiptRefused as refused:
            self.message_user(request, str(refused), messages.ERROR)
            return redirect("admin:minting_mintresult_change", result.id)
        return HttpResponse(
            write_receipt(receipt),
            content_type="application/json",
            headers={
                "Content-Disposition": f'attachment; filename="receipt-{receipt.reading_id}.json"'
            },
        )

    def check_view(self, request: HttpRequest) -> HttpResponse:
        """Asks for a receipt, and shows it beside the chain."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        sent = request.method == "POST"
        form = ReceiptForm(request.POST, request.FILES) if sent else ReceiptForm()
        found: Checked | None = None
        if sent and form.is_valid():
            try:
                with open_session() as session:
                    found = check(session, read_receipt(form.cleaned_data["file"]))
            except BlockchainError as refused:
                form.add_error("file", str(refused))
        context = self.page_context(
            request,
            title="Check a receipt",
            form=form,
            found=found,
            facts=_facts(found) if found else [],
            points=_points(found) if found else {},
        )
        return TemplateResponse(request, "admin/minting/check_receipt.html", context)


def _facts(found: Checked) -> list[tuple[str, str]]:
    receipt = found.receipt
    return [
        ("Reading", str(receipt.reading_id)),
        ("Energy, as the receipt says", show.kwh(receipt.kwh_amount)),
        ("Wallet", receipt.wallet),
        ("Base units", f"{receipt.base_units:,}"),
        ("Transaction", receipt.signature),
        ("Slot", f"{found.slot:,}"),
        (
            "Among the readings of its transaction",
            f"{receipt.index + 1:,} of {receipt.tree_size:,}",
        ),
    ]


def _points(found: Checked) -> dict[str, object]:
    return tables.table(
        ["Point", "Receipt", "Chain", ""],
        [
            [
                each.name,
                _shown(each.receipt),
                _shown(each.chain),
                show.badge("confirmed", "agrees")
                if each.agrees
                else show.badge("failed", "differs"),
            ]
            for each in found.checks
        ],
    )


def _shown(value: str) -> SafeString | str:
    """Sentences whole; of hashes and addresses the ends."""
    return value if " " in value else show.shortened(value)
