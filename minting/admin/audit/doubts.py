"""Transactions in doubt: the evidence, when certainty is due, and the one button that is safe."""

# ruff: noqa: ARG002 - Django hands over more than is wanted

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.shortcuts import get_object_or_404, redirect
from django.urls import URLPattern, path
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import RadioFilter

from minting.admin import show, tables
from minting.admin.base import FoundByShape
from minting.engine.errors import SolanaError
from minting.models import MintBatch, MintTransaction
from minting.service.drive.doubt import IN_DOUBT, Doubt, doubt_of, look_again

MOST = 20
"""Transactions in doubt that a batch's page tells one by one."""

WHY_AT_FIRST = "Its time is over, and no node was asked for a proof yet."


class DoubtFilter(RadioFilter):
    """Past its due time, and neither landed nor proven dead."""

    title = "doubt"
    parameter_name = "doubt"

    def lookups(self, request: HttpRequest, model_admin: object) -> list[tuple[str, str]]:
        """The one question."""
        return [("1", "In doubt")]

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[MintTransaction]
    ) -> QuerySet[MintTransaction]:
        """Those in doubt."""
        return queryset.filter(IN_DOUBT) if self.value() else queryset


class DoubtPages(FoundByShape):
    """The part of a transaction's page that tells its doubt."""

    change_form_outer_before_template = "admin/minting/doubt.html"

    def get_urls(self) -> list[URLPattern]:
        """Where the button leads, before the pages of rows."""
        own = path(
            "<uuid:transaction_id>/look/",
            self.admin_site.admin_view(self.look_view),
            name="minting_minttransaction_look",
        )
        return [own, *super().get_urls()]

    def doubt_context(self, request: HttpRequest, object_id: str) -> dict[str, Any]:
        """For the page of one transaction."""
        row = self.get_object(request, object_id)
        doubt = doubt_of(row) if row is not None else None
        return {"doubt": doubt_facts(doubt) if doubt else None, "may_look": _may_look(request)}

    def look_view(self, request: HttpRequest, transaction_id: UUID) -> HttpResponse:
        """Looks at the chain now; a proof that takes longer is a worker's to collect."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        if not _may_look(request):
            raise PermissionDenied
        get_object_or_404(MintTransaction, id=transaction_id)
        try:
            row = look_again(transaction_id)
        except SolanaError as error:
            self.message_user(request, f"No node answered: {error}", messages.ERROR)
        else:
            self.message_user(request, _told(row), messages.INFO)
        return redirect("admin:minting_minttransaction_change", transaction_id)


@dataclass(frozen=True, slots=True)
class DoubtfulTransaction:
    """One transaction in doubt, as its batch's page shows it."""

    id: UUID
    signature: SafeString
    readings: str
    facts: list[tuple[str, SafeString | str]]


def batch_doubts(batch: MintBatch) -> list[DoubtfulTransaction]:
    """A batch's transactions in doubt, the longest first."""
    rows = batch.transactions.filter(IN_DOUBT).defer("raw", "memo_root").order_by("doubted_at")
    return [_doubtful(row, doubt) for row in rows[:MOST] if (doubt := doubt_of(row)) is not None]


def _doubtful(row: MintTransaction, doubt: Doubt) -> DoubtfulTransaction:
    return DoubtfulTransaction(
        id=row.id,
        signature=tables.signature_cell(row),
        readings=show.readings(len(row.reading_ids)),
        facts=[
            ("In doubt since", show.time(doubt.since)),
            ("Why", told_why(doubt)),
            ("Certain", _due(doubt)),
        ],
    )


def doubt_facts(doubt: Doubt) -> list[tuple[str, SafeString | str]]:
    """What staff should know, in the order in which they ask."""
    return [
        ("In doubt since", show.time(doubt.since)),
        ("Why", told_why(doubt)),
        ("Certain", _due(doubt)),
        ("Last block in which it may land", f"{doubt.last_valid_block_height:,}"),
        ("Finalized block", _asked(doubt)),
        ("Nodes asked whether they know it", _answers(doubt)),
        ("What the last look says", doubt.why or "nothing yet"),
    ]


def told_why(doubt: Doubt) -> str:
    """Why nobody knows yet whether it landed, for people who read no evidence."""
    if doubt.blocks_left is None:
        return WHY_AT_FIRST
    if doubt.blocks_left:
        return (
            f"It may still land up to block {doubt.last_valid_block_height:,}, "
            f"and the chain is final only up to block {doubt.finalized_height:,}."
        )
    return "Its time is over; nodes still have to say often enough that they do not know it."


def _asked(doubt: Doubt) -> SafeString | str:
    if doubt.finalized_height is None:
        return "Not told yet"
    height = f"{doubt.finalized_height:,}"
    return format_html("{} at {}, by {}", height, show.time(doubt.asked_at), doubt.node)


def _due(doubt: Doubt) -> SafeString | str:
    if doubt.blocks_left is None:
        return "To be told after the next look"
    if doubt.blocks_left == 0:
        return "With the next look that gets all its answers"
    blocks = f"In {doubt.blocks_left:,} finalized block{'' if doubt.blocks_left == 1 else 's'}"
    if doubt.certain_at is None:
        return blocks
    return format_html("{}, about {}", blocks, show.time(doubt.certain_at))


def _answers(doubt: Doubt) -> SafeString | str:
    if not doubt.answers:
        return "Not yet: only answers after the last block in which it may land prove anything"
    lines = ((f"{doubt.node} {each}",) for each in doubt.answers)
    return format_html_join("", "<div>{}</div>", lines)


def _told(row: MintTransaction) -> str:
    if doubt_of(row) is None:
        return f"No doubt any more: it is {row.get_status_display()}."
    return "Still in doubt: a worker collects the evidence now, which may take a minute."


def _may_look(request: HttpRequest) -> bool:
    """Whoever may start minting; looking costs requests, and changes nothing that is unknown."""
    return bool(request.user.has_perm("minting.mint_readings"))
