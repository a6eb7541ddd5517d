"""Reconciliation: runs, what they found, and the word of a person who explains a difference."""

# ruff: noqa: ARG002 - Django hands over more than is wanted

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.decorators import action, display
from unfold.widgets import UnfoldAdminTextareaWidget

from minting import journal
from minting.admin import explorer, show, tables
from minting.admin.base import FoundByShape, ReadOnlyAdmin
from minting.models import MintingGate, ReconcileFinding, ReconcileRun
from readings.admin.search import Kind, Sought

MEANINGS = {
    "missing": "The journal says finalized, the chain does not have it",
    "unknown_mint": "Minted on chain, and the journal does not know of it",
    "wrong_amount": "Another amount on chain than in the journal",
    "wrong_wallet": "Paid to an account that no result names",
    "root_mismatch": "The memo's root is of other readings",
    "bytes_differ": "The stored bytes are not those of the signature",
    "status_differs": "A stored status does not follow from chain or results",
    "supply_difference": "The supply is not what was minted less what was burned",
    "mint_changed": "The mint's authority or decimals are not what they were",
}


_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class AcknowledgeForm(forms.Form):
    """Why the difference is none to worry about."""

    reason = forms.CharField(
        max_length=500,
        strip=True,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 3}),
        help_text="Kept with the difference, with your name and the time.",
    )


@admin.register(ReconcileRun)
class ReconcileRunAdmin(ReadOnlyAdmin):
    """Each comparison of chain and journal."""

    list_display = ("started", "status_badge", "scope", "slots", "seen", "supply", "open_ones")
    list_filter = (("status", ChoicesDropdownFilter),)
    list_filter_submit = True
    ordering = ("-id",)
    readonly_fields = ("started", "finished", "status_badge", "scope", "slots", "seen", "supply")
    fieldsets = (
        (None, {"fields": (("status_badge", "scope"), ("started", "finished"), "error")}),
        (
            "What was compared",
            {
                "fields": (
                    "slots",
                    ("transactions_seen", "transactions_read"),
                    ("audited", "in_flight"),
                    ("supply_on_chain", "supply_explained"),
                    "differences",
                )
            },
        ),
    )

    @display(description="Status")
    def status_badge(self, run: ReconcileRun) -> SafeString:
        """How it ended."""
        return show.badge(run.status)

    @display(description="Scope")
    def scope(self, run: ReconcileRun) -> str:
        """What of the journal was compared."""
        return "all of the journal" if run.thorough else "what is new"

    @display(description="Started")
    def started(self, run: ReconcileRun) -> SafeString | str:
        """When."""
        return show.time(run.started_at)

    @display(description="Finished")
    def finished(self, run: ReconcileRun) -> SafeString | str:
        """When."""
        return show.time(run.finished_at)

    @display(description="Slots")
    def slots(self, run: ReconcileRun) -> str:
        """From the last walk's end to a finalized slot."""
        return "" if run.to_slot is None else f"{run.from_slot + 1:,} to {run.to_slot:,}"

    @display(description="Transactions")
    def seen(self, run: ReconcileRun) -> str:
        """Of the mint's history."""
        return f"{run.transactions_seen:,}"

    @display(description="Supply")
    def supply(self, run: ReconcileRun) -> str:
        """On chain."""
        return "" if run.supply_on_chain is None else show.tokens(run.supply_on_chain)

    @display(description="Differences")
    def open_ones(self, run: ReconcileRun) -> str:
        """Open when it ended."""
        return f"{run.differences:,}"


@admin.register(ReconcileFinding)
class ReconcileFindingAdmin(FoundByShape):
    """Differences: those that last, those that are gone, those that a person explained."""

    list_display = ("kind_badge", "state", "about", "on_chain_tokens", "in_journal_tokens", "found")
    list_filter = (("kind", ChoicesDropdownFilter),)
    list_filter_submit = True
    ordering = ("-id",)
    search_fields = ("signature",)
    search_help_text = "Transaction signature or wallet"
    when_empty = (
        "Chain and journal say the same. A difference stands here from the "
        "reconciliation that finds it."
    )
    actions = ("acknowledge_selected",)
    readonly_fields = (
        "kind_badge",
        "meaning",
        "state",
        "explorer",
        "on_chain_tokens",
        "in_journal_tokens",
        "found",
        "seen",
        "resolved",
        "acknowledged",
    )
    fieldsets = (
        (
            None,
            {
                "fields": (
                    ("kind_badge", "state"),
                    "meaning",
                    "detail",
                    ("on_chain_tokens", "in_journal_tokens"),
                    "signature",
                    "explorer",
                    "wallet",
                )
            },
        ),
        ("When", {"fields": (("found", "seen"), "resolved")}),
        ("Acknowledged", {"fields": ("acknowledged", "acknowledged_by", "reason")}),
    )

    def get_urls(self) -> list[URLPattern]:
        """The page of a selection, before the pages of rows."""
        own = path(
            "acknowledge/",
            self.admin_site.admin_view(self.acknowledge_view),
            name="minting_reconcilefinding_acknowledge",
        )
        return [own, *super().get_urls()]

    def get_queryset(self, request: HttpRequest) -> QuerySet[ReconcileFinding]:
        """With the mint, for the explorer's link."""
        findings: QuerySet[ReconcileFinding] = super().get_queryset(request)
        return findings.select_related("mint")

    def find(self, findings: QuerySet[ReconcileFinding], named: Sought) -> QuerySet[Any]:
        """By signature or by wallet."""
        match named.kind:
            case Kind.SIGNATURE:
                return findings.filter(signature=named.text)
            case Kind.WALLET:
                return findings.filter(wallet=named.text)
            case _:
                return findings.none()

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The list, under a line that says whether minting waits for these."""
        gate = MintingGate.objects.first()
        if gate is not None and gate.closed_since is not None and request.method == "GET":
            self.message_user(request, f"Nothing is signed: {gate.reason}", messages.ERROR)
        return super().changelist_view(request, extra_context)  # type: ignore[no-any-return]

    def has_acknowledge_permission(self, request: HttpRequest, obj: object = None) -> bool:
        """Whether this person may take that responsibility."""
        return bool(request.user.has_perm("minting.acknowledge_finding"))

    @action(description="Acknowledge selected", permissions=["acknowledge"])
    def acknowledge_selected(
        self, request: HttpRequest, queryset: QuerySet[ReconcileFinding]
    ) -> HttpResponse:
        """Asks for the reason."""
        ids = [str(id_) for id_ in queryset.values_list("id", flat=True)[:SELECTED]]
        request.session[SESSION_KEY] = ids
        return redirect("admin:minting_reconcilefinding_acknowledge")

    def acknowledge_view(self, request: HttpRequest) -> HttpResponse:
        """GET asks for the reason, POST keeps it."""
        if not self.has_acknowledge_permission(request):
            raise PermissionDenied
        ids = [UUID(id_) for id_ in request.session.get(SESSION_KEY, [])]
        chosen = _open_ones(ids)
        form = AcknowledgeForm(request.POST if request.method == "POST" else None)
        if request.method == "POST" and form.is_valid():
            count = _acknowledge(
                request.POST.getlist("shown"),
                by=request.user.get_username(),
                reason=form.cleaned_data["reason"],
            )
            told = (
                f"Acknowledged: {count}. Minting goes on when the next reconciliation finds "
                "nothing else."
            )
            if count:
                self.message_user(request, told, messages.SUCCESS)
            else:
                told = "Nothing is acknowledged: it was done already, or is not as you were shown."
                self.message_user(request, told, messages.WARNING)
            return redirect("admin:minting_reconcilefinding_changelist")
        context = self.page_context(
            request,
            title="Acknowledge differences",
            form=form,
            count=len(chosen),
            shown=[_as_shown(row) for row in chosen],
            findings=tables.table(
                ["Difference", "About", "On chain", "In the journal", "Detail"],
                [
                    [
                        MEANINGS[row.kind],
                        self.about(row),
                        self.on_chain_tokens(row),
                        self.in_journal_tokens(row),
                        row.detail,
                    ]
                    for row in chosen
                ],
            ),
        )
        return TemplateResponse(request, "admin/minting/acknowledge.html", context)

    @display(description="Difference")
    def kind_badge(self, finding: ReconcileFinding) -> SafeString:
        """Its kind."""
        return show.badge(finding.kind)

    @display(description="Meaning")
    def meaning(self, finding: ReconcileFinding) -> str:
        """In words."""
        return MEANINGS[finding.kind]

    @display(description="State")
    def state(self, finding: ReconcileFinding) -> SafeString:
        """Open, gone, or explained by a person."""
        if finding.resolved_at is not None:
            return show.badge("resolved")
        return show.badge("acknowledged" if finding.acknowledged_at else "open")

    @display(description="About")
    def about(self, finding: ReconcileFinding) -> SafeString | str:
        """The transaction, else the wallet."""
        return show.shortened(finding.signature or finding.wallet)

    @display(description="On chain")
    def on_chain_tokens(self, finding: ReconcileFinding) -> str:
        """Tokens."""
        return "" if finding.on_chain is None else show.tokens(finding.on_chain)

    @display(description="In the journal")
    def in_journal_tokens(self, finding: ReconcileFinding) -> str:
        """Tokens."""
        return "" if finding.in_journal is None else show.tokens(finding.in_journal)

    @display(description="Explorer")
    def explorer(self, finding: ReconcileFinding) -> SafeString | str:
        """Where the world sees it."""
        if not finding.signature:
            return "none"
        genesis = finding.mint.genesis_hash
        return explorer.transaction(finding.signature, genesis) or "none for this cluster"

    @display(description="Found")
    def found(self, finding: ReconcileFinding) -> SafeString | str:
        """When first."""
        return show.time(finding.found_at)

    @display(description="Seen")
    def seen(self, finding: ReconcileFinding) -> SafeString | str:
        """When last."""
        return show.time(finding.seen_at)

    @display(description="Resolved")
    def resolved(self, finding: ReconcileFinding) -> SafeString | str:
        """When it was not found any more."""
        return show.time(finding.resolved_at)

    @display(description="When")
    def acknowledged(self, finding: ReconcileFinding) -> SafeString | str:
        """When a person explained it."""
        return show.time(finding.acknowledged_at)


SELECTED = 1_000
"""Differences that one reason explains at most."""

SESSION_KEY = "acknowledge_findings"


def _open_ones(ids: Sequence[UUID]) -> QuerySet[ReconcileFinding]:
    """Those that last and that nobody explained yet."""
    return ReconcileFinding.objects.filter(
        id__in=ids, acknowledged_at__isnull=True, resolved_at__isnull=True
    ).order_by("id")


def _as_shown(row: ReconcileFinding) -> str:
    """A difference and its size; one that has grown since is another one."""
    return f"{row.pk}:{row.on_chain}:{row.in_journal}"


@transaction.atomic
def _acknowledge(shown: Sequence[str], *, by: str, reason: str) -> int:
    """Of those that a person was shown, the ones that are still so; tells how many."""
    ids = [UUID(found[0]) for each in shown[:SELECTED] if (found := _ID.match(each))]
    still = [row.pk for row in _open_ones(ids).select_for_update() if _as_shown(row) in shown]
    return journal.acknowledge(still, by=by, reason=reason)
