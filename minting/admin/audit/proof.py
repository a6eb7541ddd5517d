"""*Verify on chain*: a transaction of the journal beside the chain, point by point."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.html import format_html
from django.utils.safestring import SafeString

from minting.admin import show, tables
from minting.admin.audit.doubts import DoubtPages
from minting.engine.errors import SolanaError
from minting.engine.proof import Point, Verdict
from minting.models import MintTransaction
from minting.service.audit.proof import verify_on_chain
from minting.service.chain.session import open_session

HEADLINES = {
    Verdict.AGREES: ("green", "Journal and chain agree."),
    Verdict.PROVISIONAL: ("orange", "Journal and chain agree so far."),
    Verdict.DIFFERS: ("red", "Journal and chain differ."),
    Verdict.OPEN: ("orange", "Not decided."),
}


class ProofPages(DoubtPages):
    """The part of the transactions' pages that asks the chain."""

    change_form_outer_before_template = "admin/minting/proof_button.html"

    def get_urls(self) -> list[URLPattern]:
        """Before the pages of rows."""
        own = path(
            "<uuid:transaction_id>/verify/",
            self.admin_site.admin_view(self.verify_view),
            name="minting_minttransaction_verify",
        )
        return [own, *super().get_urls()]

    def verify_view(self, request: HttpRequest, transaction_id: UUID) -> HttpResponse:
        """Fetches it and compares; whoever sees the transaction may ask."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        row = get_object_or_404(MintTransaction.objects.defer("raw"), id=transaction_id)
        try:
            with open_session() as session:
                proof = verify_on_chain(session, row.id)
        except SolanaError as error:
            self.message_user(request, f"Nothing was compared: {error}", messages.ERROR)
            return redirect("admin:minting_minttransaction_change", row.pk)
        colour, headline = HEADLINES[proof.verdict]
        context = self.page_context(
            request,
            title="Verify on chain",
            original=row,
            signature=tables.signature_cell(row),
            colour=colour,
            headline=headline,
            sentence=proof.sentence,
            points=_table(proof.points),
        )
        return TemplateResponse(request, "admin/minting/proof.html", context)


def _table(points: Sequence[Point]) -> dict[str, Any]:
    # What is red stands first: a transaction may pay a hundred accounts.
    ordered = sorted(points, key=lambda point: point.agrees is not False)
    rows = [
        [_whole(each.name), _whole(each.journal), _whole(each.chain), _judged(each)]
        for each in ordered
    ]
    return tables.table(["Point", "Journal", "Chain, or what it rests on", ""], rows)


def _whole(text: str) -> SafeString:
    """Whole, since whoever compares wants every character; broken where it must be."""
    return format_html('<span class="gt-whole">{}</span>', text)


def _judged(point: Point) -> SafeString:
    if point.agrees is None:
        return show.badge("pending", "open")
    return show.badge("confirmed", "agrees") if point.agrees else show.badge("failed", "differs")
