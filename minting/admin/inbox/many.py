"""Approving several wallets with one confirmation: as a file of the registry asks for them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.html import format_html
from unfold.decorators import action

from minting.admin import show, tables
from minting.admin.base import ReadOnlyAdmin
from minting.admin.inbox.question import oddities
from readings import backlog, intake
from readings.errors import ReadingError
from readings.models import WalletChange

SELECTED = 200
"""At once: more than anybody compares."""

SESSION_KEY = "wallet_changes"


class ApprovesSelected(ReadOnlyAdmin):
    """The action of the list, and its page; every request is decided by itself."""

    actions = ("approve_selected",)

    def get_urls(self) -> list[URLPattern]:
        """The page of a selection, before the pages of rows."""
        own = path(
            "approve-selected/",
            self.admin_site.admin_view(self.approve_selected_view),
            name="readings_walletchange_approve_selected",
        )
        return [own, *super().get_urls()]

    def has_approve_permission(self, request: HttpRequest) -> bool:
        """Who approves wallets at all."""
        return bool(request.user.has_perm("readings.approve_walletchange"))

    @action(description="Approve selected", permissions=["approve"])
    def approve_selected(
        self, request: HttpRequest, queryset: QuerySet[WalletChange]
    ) -> HttpResponse:
        """Shows what was selected, and asks."""
        ids = queryset.order_by("-id").values_list("id", flat=True)[:SELECTED]
        request.session[SESSION_KEY] = [str(each) for each in ids]
        return redirect("admin:readings_walletchange_approve_selected")

    def approve_selected_view(self, request: HttpRequest) -> HttpResponse:
        """GET shows each request that this person may decide about, POST approves them."""
        person = request.user
        if person.is_anonymous or not self.has_approve_permission(request):
            raise PermissionDenied
        if request.method == "POST":
            self._approve(request, person, request.POST.getlist("shown"))
            request.session.pop(SESSION_KEY, None)
            return redirect("admin:readings_walletchange_changelist")
        chosen = list(self._chosen(request))
        mine = [row for row in chosen if person.pk not in intake.askers_of(row)]
        context = self.page_context(
            request,
            title="Pay these owners at the new wallets?",
            count=len(mine),
            own=len(chosen) - len(mine),
            shown=[f"{row.id}:{intake.digest_of(row)}" for row in mine],
            changes=tables.table(["Owner", "Old", "New", "To be paid", "Note"], map(_cells, mine)),
        )
        return TemplateResponse(request, "admin/minting/decide_wallets.html", context)

    def _chosen(self, request: HttpRequest) -> Iterable[WalletChange]:
        ids = [UUID(each) for each in request.session.get(SESSION_KEY, [])]
        rows: QuerySet[WalletChange] = self.get_queryset(request)
        return rows.filter(id__in=ids, pk__in=WalletChange.objects.waiting().values("pk"))

    def _approve(self, request: HttpRequest, by: User, shown: list[str]) -> None:
        """Each by itself: one that is not as it was shown keeps no other from being approved."""
        done: set[UUID] = set()
        for each in shown[:SELECTED]:
            change_id, _, digest = each.partition(":")
            try:
                wallet = intake.approve_wallet_change(
                    UUID(change_id), by=by, digest=digest, along_with=done
                )
            except (ReadingError, ValueError, WalletChange.DoesNotExist) as refused:
                self.message_user(request, f"Not decided{_of(each)}: {refused}", messages.ERROR)
            else:
                done.add(wallet.owner_id)
        if done:
            owners = "1 owner is" if len(done) == 1 else f"{len(done):,} owners are"
            told = f"Approved: {owners} paid at the new wallet from now on."
            self.message_user(request, told, messages.SUCCESS)


def _of(shown: str) -> str:
    """Whose it is, where there is such a request."""
    try:
        change = WalletChange.objects.select_related("owner").get(id=UUID(shown.partition(":")[0]))
    except (ValueError, WalletChange.DoesNotExist):
        return ""
    return f", {change.owner}"


def _cells(row: WalletChange) -> list[Any]:
    amount = backlog.next_of(row.owner_id, has_wallet=row.old_wallet_id is not None)
    old = row.old_wallet.address if row.old_wallet else ""
    return [
        show.row_link(row.owner),
        show.shortened(old) or "none",
        format_html('<code class="address break-all">{}</code>', row.address),
        f"{show.readings(amount.readings)}, {show.kwh(amount.kwh)}",
        " ".join(oddities(row, old)),
    ]
