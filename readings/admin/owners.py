"""Owners, with their wallets."""

from __future__ import annotations

from django.contrib import admin
from django.db.models import Count, OuterRef, QuerySet, Subquery
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from unfold.admin import ModelAdmin
from unfold.decorators import action, display

from readings.admin.base import ShownInline
from readings.models import MeterAssignment, Owner, Wallet


class WalletInline(ShownInline):
    """All wallets the owner ever had, the current one first."""

    model = Wallet
    fields = ["address", "registered_at", "retired_at", "exception_reason"]
    readonly_fields = fields
    ordering = ["-registered_at"]


@admin.register(Owner)
class OwnerAdmin(ModelAdmin):
    """Whom readings are minted for."""

    list_display = ["name", "user_id", "email", "wallet", "meters", "created_at"]
    search_fields = ["name", "user_id", "email", "=wallets__address"]
    ordering = ["name", "user_id"]
    inlines = [WalletInline]
    actions_detail = ["register_wallet"]
    show_full_result_count = False

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

    def get_readonly_fields(self, request: HttpRequest, obj: Owner | None = None) -> list[str]:  # noqa: ARG002
        """The platform's id stays: batches and their records name owners by it."""
        return ["user_id", "created_at"] if obj else []

    @display(description="Wallet", empty_value="none: readings are held")
    def wallet(self, owner: Owner) -> str | None:
        """What is paid now."""
        return getattr(owner, "wallet_address", None)

    @display(description="Meters", ordering="meters_held")
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
