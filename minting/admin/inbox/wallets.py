"""Four eyes for changed wallets: what waits, what exactly is asked, and the answer."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.decorators import display

from minting.admin import addresses, show
from minting.admin.base import FoundByShape
from minting.admin.inbox.approvals import ApproveForm, RefuseForm, sent
from minting.admin.inbox.many import ApprovesSelected
from minting.admin.inbox.question import asker, question
from readings import backlog, intake
from readings.admin.history import HistoryPages
from readings.admin.lists import counted
from readings.admin.search import Kind, Sought
from readings.errors import ReadingError
from readings.models import Owner, WalletChange
from readings.second_person import ChangeStatus

COLOUR_OF = {
    ChangeStatus.PROPOSED: "held",
    ChangeStatus.APPROVED: "succeeded",
    ChangeStatus.REFUSED: "failed",
}
"""Statuses whose colours fit."""


class WithdrawForm(RefuseForm):
    """Why it is taken back; nobody else was asked for a word."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["reason"].required = False
        self.fields["reason"].help_text = "Kept with your name and the time."


FORMS = {"approve": ApproveForm, "refuse": RefuseForm, "withdraw": WithdrawForm}
TITLES = {
    "approve": "Pay this owner at the new wallet?",
    "refuse": "Refuse the new wallet?",
    "withdraw": "Withdraw the request?",
}
DONE = {
    "approve": "Approved: from now on the owner is paid at the new wallet.",
    "refuse": "Refused: the owner is paid as before.",
    "withdraw": "Withdrawn: the owner is paid as before.",
}


@admin.register(WalletChange)
class WalletChangeAdmin(HistoryPages, FoundByShape, ApprovesSelected):
    """The approvers' inbox of wallets, and everything that was decided."""

    list_display = ("requested", "state", "whose", "old", "new", "who", "worth", "ends")
    list_filter = (("status", ChoicesDropdownFilter),)
    ordering = ("-id",)
    search_fields = ("id",)
    search_help_text = "An address, or the beginning of the owner's id, name or email"
    change_form_outer_before_template = "admin/minting/wallet_change.html"
    readonly_fields = ("state", "decided", "reason")
    when_empty = "With four eyes on, a wallet that takes the place of another waits here."

    def get_queryset(self, request: HttpRequest) -> QuerySet[WalletChange]:
        """With what a row shows."""
        rows: QuerySet[WalletChange] = super().get_queryset(request)
        return rows.select_related(
            "owner", "old_wallet", "proposed_by", "decided_by", "import_file__brought_by"
        )

    def find(self, changes: QuerySet[WalletChange], named: Sought) -> QuerySet[WalletChange]:
        """By either address, by whose they are, or by id."""
        match named.kind:
            case Kind.ID:
                return changes.filter(Q(pk=named.id) | Q(owner=named.id))
            case Kind.WALLET:
                return changes.filter(Q(address=named.text) | Q(old_wallet__address=named.text))
            case Kind.SIGNATURE:
                return changes.none()
            case Kind.NAME:
                return changes.filter(owner__in=counted(Owner.objects.named(named.text)))

    def get_urls(self) -> list[URLPattern]:
        """The three answers, before the pages of rows."""
        view = self.admin_site.admin_view(self.answer_view)
        own = [
            path(
                f"<uuid:change_id>/{answer}/",
                view,
                {"answer": answer},
                name=f"readings_walletchange_{answer}",
            )
            for answer in FORMS
        ]
        return [*own, *super().get_urls()]

    def get_fieldsets(self, request: HttpRequest, obj: WalletChange | None = None) -> Any:  # noqa: ARG002
        """What became of it, once something did."""
        waits = obj is not None and obj.status == ChangeStatus.PROPOSED
        return [(None, {"fields": ["state"] if waits else ["state", "decided", "reason"]})]

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """What is asked, and the buttons."""
        row = self.get_object(request, object_id)
        extra = {"show_history": True}
        if row is not None:
            extra |= question(row) | rights(request, row)
        return super().change_view(  # type: ignore[no-any-return]
            request, object_id, form_url, {**(extra_context or {}), **extra}
        )

    def answer_view(self, request: HttpRequest, change_id: UUID, answer: str) -> HttpResponse:
        """GET shows once more what it is about, POST answers."""
        row = get_object_or_404(self.get_queryset(request), id=change_id)
        person = request.user
        if person.is_anonymous or not rights(request, row)[f"may_{answer}"]:
            raise PermissionDenied
        form = FORMS[answer](sent(request), initial={"digest": intake.digest_of(row)})
        if request.method == "POST" and form.is_valid():
            try:
                _answer(row, answer, form.cleaned_data, person)
            except ReadingError as refused:
                self.message_user(request, f"Not decided: {refused}", messages.ERROR)
            else:
                self.message_user(request, DONE[answer], messages.SUCCESS)
            return redirect("admin:readings_walletchange_change", row.id)
        context = self.page_context(
            request,
            title=TITLES[answer],
            original=row,
            form=form,
            answer=answer,
            **question(row),
        )
        return TemplateResponse(request, "admin/minting/decide_wallet.html", context)

    # What is shown

    @display(description="Asked", ordering="id")
    def requested(self, row: WalletChange) -> SafeString | str:
        """When."""
        return show.time(row.proposed_at)

    @display(description="State")
    def state(self, row: WalletChange) -> SafeString:
        """What became of it."""
        return show.badge(COLOUR_OF.get(ChangeStatus(row.status), ""), _word(row))

    @display(description="Owner")
    def whose(self, row: WalletChange) -> SafeString | str:
        """Who is paid."""
        return show.row_link(row.owner)

    @display(description="Old", empty_value="none")
    def old(self, row: WalletChange) -> SafeString | None:
        """Paid until it is approved."""
        return addresses.wallet(row.old_wallet.address if row.old_wallet else None)

    @display(description="New")
    def new(self, row: WalletChange) -> SafeString | None:
        """Paid from then on."""
        return addresses.wallet(row.address)

    @display(description="By")
    def who(self, row: WalletChange) -> str:
        """A person, or the way it came."""
        return asker(row)

    @display(description="To be paid")
    def worth(self, row: WalletChange) -> str:
        """What the next batch would pay; asked only where it still matters."""
        if row.status != ChangeStatus.PROPOSED:
            return ""
        amount = backlog.next_of(row.owner_id, has_wallet=row.old_wallet_id is not None)
        return f"{show.readings(amount.readings)}, {show.kwh(amount.kwh)}"

    @display(description="Decided")
    def ends(self, row: WalletChange) -> SafeString | str:
        """Or until when it can be."""
        if row.status == ChangeStatus.PROPOSED:
            return format_html("until {}", show.time(row.expires_at))
        return _decided(row)

    @display(description="Decided")
    def decided(self, row: WalletChange) -> SafeString | str:
        """By whom and when."""
        return _decided(row)


def _decided(row: WalletChange) -> SafeString | str:
    if row.decided_at is None:
        return ""
    return format_html("{}, {}", show.time(row.decided_at), row.decided_by or "by nobody")


def _answer(row: WalletChange, answer: str, told: dict[str, Any], by: User) -> None:
    if answer == "approve":
        intake.approve_wallet_change(row.id, by=by, digest=told["digest"], reason=told["reason"])
    elif answer == "refuse":
        intake.refuse_wallet_change(row.id, by=by, reason=told["reason"])
    else:
        intake.withdraw_wallet_change(row.id, by=by, reason=told["reason"])


def rights(request: HttpRequest, row: WalletChange) -> dict[str, bool]:
    """Approvers decide, but for whoever asked; who may ask may take back."""
    decides = request.user.has_perm(
        "readings.approve_walletchange"
    ) and request.user.pk not in intake.askers_of(row)
    return {
        "may_approve": decides,
        "may_refuse": decides,
        "may_withdraw": request.user.has_perm("readings.add_wallet"),
    }


def _word(row: WalletChange) -> str:
    return "waiting" if row.status == ChangeStatus.PROPOSED else str(row.status)
