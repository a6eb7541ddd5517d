"""Wallets: registered and retired, never edited."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from unfold.decorators import display

from readings import intake
from readings.admin import times
from readings.admin.base import RegisteredAdmin, RegistrationForm, person
from readings.admin.lists import counted, keys_of
from readings.admin.search import Kind, Sought
from readings.conf import second_person
from readings.errors import ReadingError
from readings.models import MeterReading, Owner, Wallet, WalletChange
from readings.second_person import ChangeWay

# Ids are UUIDv7: their order is that of registration, and it has an index.
REGISTERED = times.column("registered_at", "Registered at", ordering="id")


RETIRED_AT_ONCE = 200
"""More than anybody reads through."""

WAITS = (
    "Nothing is changed yet: a wallet that takes the place of another waits for a second person. "
    "Until then the owner is paid as before."
)
GUARDED = (
    "Four eyes: if the owner has a wallet, or ever had one, this one waits for a second person."
)


class WalletForm(RegistrationForm):
    """A wallet to be registered, which retires the owner's current one."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if second_person().is_on and "address" in self.fields:
            self.fields["address"].help_text = GUARDED

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

    def register(self, values: dict[str, Any], *, by: User) -> Wallet | WalletChange:
        """Through intake; with four eyes on it may have to wait."""
        return intake.register_wallet(**values, asker=intake.Asker(by, ChangeWay.ADMIN))

    def response_add(
        self, request: HttpRequest, obj: Wallet | WalletChange, post_url_continue: Any = None
    ) -> HttpResponse:
        """What became of the form: a wallet, or a request that waits."""
        if not isinstance(obj, WalletChange):
            return super().response_add(request, obj, post_url_continue)  # type: ignore[no-any-return]
        self.message_user(request, WAITS, messages.WARNING)
        return redirect("admin:readings_walletchange_change", obj.pk)

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
    def retire(self, request: HttpRequest, wallets: QuerySet[Wallet]) -> HttpResponse | None:
        """Asks once; then leaves the owners of the chosen current wallets without one."""
        current = list(
            wallets.filter(retired_at=None).select_related("owner")[: RETIRED_AT_ONCE + 1]
        )
        words = f"{len(current):,} wallet{'' if len(current) == 1 else 's'}"
        if len(current) > RETIRED_AT_ONCE:
            told = f"Nothing is done: select at most {RETIRED_AT_ONCE:,} at once."
            self.message_user(request, told, messages.ERROR)
        elif not current:
            self.message_user(request, "None of them is paid now.", messages.INFO)
        elif "post" in request.POST:
            for wallet in current:
                intake.retire_wallet(owner=wallet.owner, by=person(request))
            self.message_user(request, f"{words} retired", messages.SUCCESS)
        else:
            owners = [wallet.owner_id for wallet in current]
            context = {
                **self.admin_site.each_context(request),
                "title": f"Retire {words}?",
                "opts": self.opts,
                "wallets": current,
                "held": MeterReading.objects.mintable().filter(owner__in=owners).count(),
            }
            return TemplateResponse(request, "admin/readings/retire.html", context)
        return None
