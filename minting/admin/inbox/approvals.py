"""Four eyes: what waits for a second person, what exactly that person is asked, and the answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Count, QuerySet, Sum
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.decorators import display
from unfold.widgets import UnfoldAdminTextareaWidget

from minting.admin import addresses, show, tables
from minting.admin.base import ReadOnlyAdmin
from minting.engine.approval import Decision
from minting.engine.errors import ApprovalRefused
from minting.models import MintApproval
from minting.service.requests import approving

LARGEST = 10
"""Wallets that are told one by one: where the most would go."""


class ApproveForm(forms.Form):
    """A word, and the digest of what was shown with it."""

    digest = forms.RegexField("^[0-9a-f]{64}$", widget=forms.HiddenInput)
    reason = forms.CharField(
        label="Remark",
        max_length=500,
        required=False,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 2}),
        help_text="Kept with your name and the time.",
    )


class RefuseForm(forms.Form):
    """Why not."""

    reason = forms.CharField(
        max_length=500,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 3}),
        help_text="Whoever asked sees it on the batch and on each of its readings' results.",
    )


@admin.register(MintApproval)
class MintApprovalAdmin(ReadOnlyAdmin):
    """The approvers' inbox, and everything that was decided."""

    list_display = ("requested", "state", "who", "size", "why", "until", "decided")
    list_filter = (("decision", ChoicesDropdownFilter),)
    when_empty = (
        "Batches above APPROVAL_ABOVE_KWH or APPROVAL_ABOVE_LAMPORTS wait here for a second person."
    )
    ordering = ("-id",)
    change_form_outer_before_template = "admin/minting/approval.html"
    readonly_fields = ("state", "decided", "reason")
    fieldsets = ((None, {"fields": ("state", "decided", "reason")}),)

    def get_queryset(self, request: HttpRequest) -> QuerySet[MintApproval]:
        """With what a row shows."""
        rows: QuerySet[MintApproval] = super().get_queryset(request)
        return rows.select_related("batch", "requested_by", "decided_by")

    def get_urls(self) -> list[URLPattern]:
        """The two answers, before the pages of rows."""
        view = self.admin_site.admin_view
        name = "minting_mintapproval_{}".format
        return [
            path("<uuid:approval_id>/approve/", view(self.approve_view), name=name("approve")),
            path("<uuid:approval_id>/refuse/", view(self.refuse_view), name=name("refuse")),
            *super().get_urls(),
        ]

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """What is asked, and the two buttons."""
        row = self.get_object(request, object_id)
        extra = {} if row is None else _question(row) | {"may_decide": _may_decide(request, row)}
        return super().change_view(  # type: ignore[no-any-return]
            request, object_id, form_url, {**(extra_context or {}), **extra}
        )

    def approve_view(self, request: HttpRequest, approval_id: UUID) -> HttpResponse:
        """GET shows once more what is approved, POST lets the batch go."""
        row = self._decidable(request, approval_id)
        form = ApproveForm(sent(request), initial={"digest": bytes(row.digest).hex()})
        if request.method == "POST" and form.is_valid():
            told = form.cleaned_data
            try:
                batch = approving.approve(
                    row.id,
                    by=request.user,
                    digest=bytes.fromhex(told["digest"]),
                    reason=told["reason"],
                )
            except ApprovalRefused as refused:
                self.message_user(request, str(refused), messages.ERROR)
                return redirect("admin:minting_mintapproval_change", row.id)
            self.message_user(request, "Approved: workers take the batch up.", messages.SUCCESS)
            return redirect("admin:minting_mintbatch_change", batch.id)
        return self._ask(request, "approve", "Approve this batch?", row, form)

    def refuse_view(self, request: HttpRequest, approval_id: UUID) -> HttpResponse:
        """GET asks for the reason, POST ends the batch."""
        row = self._decidable(request, approval_id)
        form = RefuseForm(sent(request))
        if request.method == "POST" and form.is_valid():
            try:
                approving.refuse(row.id, by=request.user, reason=form.cleaned_data["reason"])
            except ApprovalRefused as refused:
                self.message_user(request, str(refused), messages.ERROR)
            else:
                told = "Refused: the batch is cancelled, its readings are free again."
                self.message_user(request, told, messages.WARNING)
            return redirect("admin:minting_mintapproval_changelist")
        return self._ask(request, "refuse", "Refuse this batch?", row, form)

    def _decidable(self, request: HttpRequest, approval_id: UUID) -> MintApproval:
        row = get_object_or_404(MintApproval.objects.select_related("batch"), id=approval_id)
        if not _may_decide(request, row):
            raise PermissionDenied
        return row

    def _ask(
        self, request: HttpRequest, answer: str, title: str, row: MintApproval, form: forms.Form
    ) -> HttpResponse:
        context = self.page_context(
            request, title=title, original=row, form=form, answer=answer, **_question(row)
        )
        return TemplateResponse(request, "admin/minting/decide.html", context)

    # What is shown

    @display(description="Asked", ordering="id")
    def requested(self, row: MintApproval) -> SafeString | str:
        """When."""
        return show.time(row.requested_at)

    @display(description="State")
    def state(self, row: MintApproval) -> SafeString:
        """What became of it."""
        return show.badge(COLOUR_OF.get(row.decision, ""), row.get_decision_display())

    @display(description="By")
    def who(self, row: MintApproval) -> str:
        """A person, or where it came from."""
        return _requester(row)

    @display(description="Batch")
    def size(self, row: MintApproval) -> SafeString | str:
        """How much, and where."""
        words = f"{show.readings(row.batch.total_readings)}, {show.kwh(row.batch.total_kwh)}"
        return show.row_link(row.batch, words)

    @display(description="Until")
    def until(self, row: MintApproval) -> SafeString | str:
        """When it is void."""
        return show.time(row.expires_at) if row.decision in _OPEN else ""

    @display(description="Decided")
    def decided(self, row: MintApproval) -> SafeString | str:
        """By whom and when."""
        if row.decided_at is None:
            return ""
        return format_html("{}, {}", show.time(row.decided_at), row.decided_by or "by the clock")


_OPEN = frozenset({Decision.WAITING, Decision.APPROVED})

COLOUR_OF = {
    Decision.WAITING: "held",
    Decision.APPROVED: "succeeded",
    Decision.REFUSED: "failed",
}
"""Statuses whose colours fit."""


def sent(request: HttpRequest) -> QueryDict | None:
    """What a form was filled with, if it was."""
    return request.POST if request.method == "POST" else None


def _requester(row: MintApproval) -> str:
    return row.requested_by.get_username() if row.requested_by else f"source: {row.batch.source}"


def _question(row: MintApproval) -> dict[str, Any]:
    """What a second person is asked."""
    results = row.batch.results
    sums = results.aggregate(
        wallets=Count("wallet_address", distinct=True), base_units=Sum("base_units", default=0)
    )
    fee, rent = row.batch.fee_estimate_lamports, row.batch.rent_estimate_lamports
    facts: Sequence[tuple[str, Any]] = [
        ("Batch", show.row_link(row.batch)),
        ("Asked by", _requester(row)),
        ("Asked", show.time(row.requested_at)),
        ("Why it waits", row.why),
        ("Readings", f"{row.batch.total_readings:,}"),
        ("Wallets", f"{sums['wallets']:,}"),
        ("Energy", show.kwh(row.batch.total_kwh)),
        ("Tokens", show.tokens(sums["base_units"])),
        ("Estimated fees", show.lamports(fee) or "not estimated"),
        ("Estimated rent of new accounts", show.lamports(rent) or "not estimated"),
        ("May cost at most", f"{show.lamports(row.fee_cap_lamports)}, fees and rent"),
        ("Void after", show.time(row.expires_at)),
        ("Digest", format_html('<code class="address">{}</code>', bytes(row.digest).hex())),
    ]
    return {"facts": facts, "largest": _largest(row), "waits": row.decision == Decision.WAITING}


def _largest(row: MintApproval) -> dict[str, Any]:
    """Where the most would go."""
    wallets = (
        row.batch.results.values("wallet_address", "user_id")
        .annotate(readings=Count("id"), base_units=Sum("base_units"), kwh=Sum("kwh_amount"))
        .order_by("-base_units")[:LARGEST]
    )
    return tables.table(
        ["Wallet", "Owner", "Readings", "Energy", "Tokens"],
        [
            [
                addresses.wallet(each["wallet_address"]),
                each["user_id"],
                f"{each['readings']:,}",
                show.kwh(each["kwh"]),
                show.tokens(each["base_units"]),
            ]
            for each in wallets
        ],
    )


def _may_decide(request: HttpRequest, row: MintApproval) -> bool:
    """Approvers, but for whoever asked."""
    return bool(
        request.user.has_perm("minting.approve_batch") and row.requested_by_id != request.user.pk
    )
