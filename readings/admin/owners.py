"""Owners, with their wallets."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import Count, OuterRef, QuerySet, Subquery
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.safestring import SafeString
from unfold.decorators import action, display

from readings.admin import copying, times
from readings.admin.base import ShownInline
from readings.admin.history import HistoryPages
from readings.admin.lists import FoundByShape
from readings.admin.search import Kind, Sought
from readings.intake import forget_owner
from readings.models import MeterAssignment, Owner, Wallet, WalletChange
from readings.second_person import ChangeStatus

# Ids are UUIDv7: their order is that of registration, and it has an index.
CREATED = times.column("created_at", "Created at", ordering="id")


class WalletInline(ShownInline):
    """All wallets the owner ever had, the current one first."""

    model = Wallet
    fields = [
        "address",
        times.column("registered_at", "Registered at"),
        times.column("retired_at", "Retired at", never="it is paid"),
        "exception_reason",
    ]
    readonly_fields = fields
    ordering = ["-registered_at"]
    hide_title = True
    """It is called by its address, which is the first column."""


class WalletChangeInline(ShownInline):
    """What waits for a second person, if anything does."""

    model = WalletChange
    verbose_name_plural = "waits for a second person"
    fields = [
        "address",
        times.column("proposed_at", "Asked"),
        "proposed_by",
        times.column("expires_at", "Void after"),
    ]
    readonly_fields = fields

    def get_queryset(self, request: HttpRequest) -> QuerySet[WalletChange]:
        """Open ones alone."""
        rows: QuerySet[WalletChange] = super().get_queryset(request)
        return rows.filter(status=ChangeStatus.PROPOSED.value)


@admin.register(Owner)
class OwnerAdmin(HistoryPages, FoundByShape):
    """Whom readings are minted for."""

    list_display = ["name", "user_id", "email", "wallet", "meters", CREATED]
    sortable_by = ["name", "user_id", CREATED]
    search_fields = ["id"]
    search_help_text = "Beginning of words of the name, of the user id or of the email; or a wallet"
    ordering = ["name", "user_id"]
    actions_detail = ["register_wallet", "forget"]
    when_empty = "Owners are paid for what their meters export: add one, or import the registry."

    def get_inlines(self, request: HttpRequest, obj: Owner | None) -> list[Any]:  # noqa: ARG002
        """The second only where something is in it."""
        waits = obj is not None and WalletChange.objects.proposed().filter(owner=obj).exists()
        return [WalletChangeInline, WalletInline] if waits else [WalletInline]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Owner]:
        """With the wallet and the meters of now."""
        # Subqueries, asked for the rows of one page; a join would count each searched wallet again.
        current = Wallet.objects.current().filter(owner=OuterRef("id"))
        held = MeterAssignment.objects.filter(owner=OuterRef("id"), ends_at=None).order_by()
        number = held.values("owner").annotate(number=Count("id")).values("number")
        owners: QuerySet[Owner] = super().get_queryset(request)
        return owners.annotate(
            wallet_address=Subquery(current.values("address")[:1]), meters_held=Subquery(number)
        )

    def get_readonly_fields(
        self,
        request: HttpRequest,  # noqa: ARG002
        obj: Owner | None = None,
    ) -> list[str | times.Column]:
        """The platform's id stays: batches and their records name owners by it."""
        return ["user_id", CREATED] if obj else []

    @display(description="Wallet", empty_value="none: readings are held")
    def wallet(self, owner: Owner) -> SafeString | None:
        """What is paid now."""
        address: str | None = getattr(owner, "wallet_address", None)
        if not address:
            return None
        return copying.together(copying.shortened(address), copying.button(address, "wallet"))

    def find(self, owners: QuerySet[Owner], named: Sought) -> QuerySet[Owner]:
        """By id, by a wallet that they have or had, or by how their names begin."""
        match named.kind:
            case Kind.ID:
                return owners.filter(pk=named.id)
            case Kind.WALLET:
                paid = Wallet.objects.filter(address=named.text)
                return owners.filter(pk__in=paid.values("owner"))
            case Kind.SIGNATURE:
                return owners.none()
            case Kind.NAME:
                return owners.filter(pk__in=Owner.objects.named(named.text).values("pk"))

    @display(description="Meters")
    def meters(self, owner: Owner) -> int:
        """How many are held now."""
        return int(getattr(owner, "meters_held", 0) or 0)

    @action(description="Register a wallet", permissions=["register_wallet"])
    def register_wallet(self, request: HttpRequest, object_id: str) -> HttpResponse:  # noqa: ARG002
        """Leads to the form."""
        add = reverse("admin:readings_wallet_add")
        return HttpResponseRedirect(f"{add}?owner={object_id}")

    def has_register_wallet_permission(self, request: HttpRequest, *_: object) -> bool:
        """Who may register wallets at all."""
        return request.user.has_perm("readings.add_wallet")

    @action(description="Forget this person", permissions=["forget"])
    def forget(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """GET asks once, POST takes what is personal away."""
        owner = get_object_or_404(Owner, pk=object_id)
        change = reverse("admin:readings_owner_change", args=[owner.pk])
        if request.method == "POST":
            done = forget_owner(owner, by=request.user.get_username())
            told = f"Forgotten. {done.meters} meters, {done.entries} lines of logs and {done.files}"
            self.message_user(request, f"{told} files told of the person.", messages.SUCCESS)
            return HttpResponseRedirect(change)
        context = {
            **self.admin_site.each_context(request),
            "title": f"Forget {owner}?",
            "opts": self.opts,
            "original": owner,
            "back": change,
        }
        return TemplateResponse(request, "admin/readings/forget.html", context)

    def has_forget_permission(self, request: HttpRequest, *_: object) -> bool:
        """Whoever may do what cannot be undone."""
        return request.user.has_perm("readings.forget_owner")
