"""Wallets: registered and retired, never edited."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from unfold.decorators import display

from readings import intake
from readings.admin import times
from readings.admin.base import RegisteredAdmin, RegistrationForm
from readings.admin.lists import counted, keys_of
from readings.admin.search import Kind, Sought
from readings.errors import ReadingError
from readings.models import Owner, Wallet

# Ids are UUIDv7: their order is that of registration, and it has an index.
REGISTERED = times.column("registered_at", "Registered at", ordering="id")


class WalletForm(RegistrationForm):
    """A wallet to be registered, which retires the owner's current one."""

    class Meta:
        model = Wallet
        fields = ["owner", "address", "allow_off_curve", "allow_program_owned", "exception_reason"]

    def clean(self) -> dict[str, Any]:
        """Tells a wrong address at its field."""
        values: dict[str, Any] = super().clean() or self.cleaned_data
        try:
            intake.check_wallet(
                address=values.get("address", ""),
                allow_off_curve=values.get("allow_off_curve", False),
                allow_program_owned=values.get("allow_program_owned", False),
                exception_reason=values.get("exception_reason", ""),
            )
        except ReadingError as error:
            self.add_error("address", str(error))
        return values


@admin.register(Wallet)
class WalletAdmin(RegisteredAdmin):
    """Which addresses are paid for whom."""

    form = WalletForm
    list_display = ["address", "owner", REGISTERED, "current", "exceptions"]
    sortable_by = ["address", REGISTERED]
    shown_fields = [
        "owner",
        "address",
        REGISTERED,
        times.column("retired_at", "Retired at", never="it is paid"),
        "allow_off_curve",
        "allow_program_owned",
        "exception_reason",
    ]
    list_filter = [("retired_at", admin.EmptyFieldListFilter), "allow_off_curve"]
    list_select_related = ["owner"]
    search_fields = ["id"]
    search_help_text = "Beginning of the address, or of the owner's id, name or email"
    autocomplete_fields = ["owner"]
    ordering = ["-id"]
    actions = ["retire"]
    when_empty = "Until an owner has a wallet, the readings are held: register one."

    def register(self, values: dict[str, Any]) -> Wallet:
        """Through intake."""
        return intake.register_wallet(**values)

    def find(self, wallets: QuerySet[Wallet], named: Sought) -> QuerySet[Wallet]:
        """By address, by whose it is, or by id."""
        match named.kind:
            case Kind.ID:
                return wallets.filter(Q(pk=named.id) | Q(owner=named.id))
            case Kind.WALLET:
                return wallets.filter(address=named.text)
            case Kind.SIGNATURE:
                return wallets.none()
            case Kind.NAME:
                begins = Wallet.objects.filter(address__startswith=named.text)
                whose = Wallet.objects.filter(owner__in=counted(Owner.objects.named(named.text)))
                return wallets.filter(pk__in=keys_of(begins.values("pk"), whose.values("pk")))

    @display(description="Paid now", boolean=True)
    def current(self, wallet: Wallet) -> bool:
        """Neither retired nor replaced."""
        return wallet.retired_at is None

    @display(description="Exceptions")
    def exceptions(self, wallet: Wallet) -> str:
        """What is allowed that is refused otherwise."""
        allowed = {
            "off the curve": wallet.allow_off_curve,
            "owned by a program": wallet.allow_program_owned,
        }
        return ", ".join(name for name, is_allowed in allowed.items() if is_allowed)

    @admin.action(
        description="Retire: hold the owner's readings until there is a new wallet",
        permissions=["add"],
    )
    def retire(self, request: HttpRequest, wallets: QuerySet[Wallet]) -> None:
        """Leaves the owners of the chosen current wallets without one."""
        current = wallets.filter(retired_at=None).select_related("owner")
        for wallet in current:
            intake.retire_wallet(owner=wallet.owner)
        self.message_user(request, f"{len(current)} wallets retired", messages.SUCCESS)
