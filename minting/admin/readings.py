"""Meter readings: found, looked at, released, selected for minting."""

from __future__ import annotations

from functools import reduce
from operator import or_
from typing import Any
from uuid import UUID

from django.contrib import admin
from django.db.models import Func, OuterRef, Q, QuerySet, Subquery, UUIDField
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.decorators import action, display

from minting.admin import filters, show, tables
from minting.admin.base import FoundByShape
from minting.admin.releases import ReleasePages
from minting.models import MintResult, MintTransaction
from minting.service.prepare import NAMED
from minting.service.selections import freeze
from readings.admin.lists import one_of
from readings.admin.search import Kind, Sought
from readings.models import Meter, MeterReading, Owner, Wallet

SIGNATURE = Subquery(
    MintResult.objects.filter(pk=OuterRef("last_result_id")).values("tx_signature")[:1]
)
"""Of the transaction that pays a reading; asked for the rows shown only."""


@admin.register(MeterReading)
class MeterReadingAdmin(ReleasePages, FoundByShape):
    """Readings come in by intake; here they are seen, released and minted."""

    list_display = (
        "meter_serial",
        "owner_name",
        "period",
        "energy",
        "status_badge",
        "reason",
        "signature",
    )
    list_filter = (
        ("status", ChoicesDropdownFilter),
        filters.ReasonFilter,
        ("verification", ChoicesDropdownFilter),
        ("period_end", filters.PeriodFilter),
        filters.MeterFilter,
        filters.OwnerFilter,
        filters.FileFilter,
    )
    list_filter_submit = True
    ordering = ("-submitted_at", "-id")
    search_fields = ("id",)
    search_help_text = "Reading id, meter serial, owner, wallet or transaction signature"
    actions = ("mint_selected", "release_selected")
    change_form_outer_before_template = "admin/readings/meterreading/buttons.html"
    change_form_outer_after_template = "admin/readings/meterreading/results.html"
    readonly_fields = (
        "meter_link",
        "owner_link",
        "wallet",
        "period",
        "energy",
        "status_badge",
        "reason",
        "signature",
        "submitted",
        "released",
        "file_link",
    )
    fieldsets = (
        (None, {"fields": (("meter_link", "owner_link"), ("period", "energy"))}),
        (
            "Minting",
            {"fields": (("status_badge", "reason"), "signature", "wallet", "released")},
        ),
        (
            "Where it comes from",
            {
                "fields": (
                    "id",
                    ("submitted", "submitted_by"),
                    ("source", "verification"),
                    "file_link",
                    "external_id",
                    ("energy_generated", "energy_consumed"),
                    ("revision", "is_current"),
                    ("correction_difference", "correction_reason"),
                )
            },
        ),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[MeterReading]:
        """With what a row shows."""
        readings: QuerySet[MeterReading] = super().get_queryset(request)
        return readings.select_related("meter", "owner").annotate(tx_signature=SIGNATURE)

    def get_ordering(self, request: HttpRequest) -> tuple[str, ...]:
        """The newest first; by period where periods are asked for, whose index then finds them."""
        by_period = any(name.startswith("period_end_") for name in request.GET)
        return ("-period_end", "-id") if by_period else self.ordering

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """A reading, what became of it in every batch, and what can be done with it."""
        extra = {
            "results": lambda: results_of(object_id),
            "can_mint": self.has_mint_permission(request),
            "can_release": self.has_release_permission(request),
            "mintable": NAMED,
        }
        return super().change_view(  # type: ignore[no-any-return]
            request, object_id, form_url, {**(extra_context or {}), **extra}
        )

    def find(self, readings: QuerySet[MeterReading], named: Sought) -> QuerySet[MeterReading]:
        """The readings that a text names; each case is answered by an index."""
        match named.kind:
            case Kind.ID:
                return readings.filter(pk=named.id)
            case Kind.SIGNATURE:
                return readings.filter(pk__in=_paid_by(named.text))
            case Kind.WALLET:
                return readings.filter(pk__in=_of_wallet(named.text))
            case Kind.NAME:
                return _named(readings, named.text)

    # Minting and releasing

    @action(description="Mint selected", permissions=["mint"])
    def mint_selected(self, request: HttpRequest, queryset: QuerySet[MeterReading]) -> HttpResponse:
        """Freezes the selection and asks for confirmation."""
        selection = freeze(queryset, request.user)
        return redirect("admin:minting_mintselection_confirm", selection.id)

    def has_mint_permission(self, request: HttpRequest) -> bool:
        """Whether this person may spend SOL and create tokens."""
        return bool(request.user.has_perm("minting.mint_readings"))

    # What is shown

    @display(description="Meter")
    def meter_serial(self, reading: MeterReading) -> SafeString:
        """Its serial."""
        return show.unbroken(reading.meter.serial)

    @display(description="Meter")
    def meter_link(self, reading: MeterReading) -> SafeString | str:
        """The meter's page."""
        return show.row_link(reading.meter)

    @display(description="Owner")
    def owner_name(self, reading: MeterReading) -> str:
        """Name and user id."""
        return str(reading.owner) if reading.owner else ""

    @display(description="Owner")
    def owner_link(self, reading: MeterReading) -> SafeString | str:
        """The owner's page."""
        return show.row_link(reading.owner)

    @display(description="File", empty_value="")
    def file_link(self, reading: MeterReading) -> SafeString | str:
        """The file that told it, if one did."""
        return show.row_link(reading.import_file)

    @display(description="Owner's wallet now")
    def wallet(self, reading: MeterReading) -> str:
        """Where a mint of now would pay."""
        return str(Wallet.objects.current().filter(owner=reading.owner_id).first() or "none")

    @display(description="Period")
    def period(self, reading: MeterReading) -> SafeString:
        """From when to when."""
        return show.times(reading.period_start, reading.period_end)

    @display(description="Exported")
    def energy(self, reading: MeterReading) -> SafeString:
        """KWh."""
        return show.unbroken(show.kwh(reading.kwh_amount))

    @display(description="Status")
    def status_badge(self, reading: MeterReading) -> SafeString:
        """Where it stands."""
        return show.badge(reading.status, reading.get_status_display())

    @display(description="Reason", empty_value="")
    def reason(self, reading: MeterReading) -> str:
        """Why it stands there, in a sentence; for codes of minting, in their words."""
        return reading.reason or reading.code.replace("_", " ")

    @display(description="Transaction", empty_value="")
    def signature(self, reading: MeterReading) -> SafeString | str:
        """Of the transaction that pays it."""
        return show.shortened(getattr(reading, "tx_signature", None) or "")

    @display(description="Submitted")
    def submitted(self, reading: MeterReading) -> SafeString | str:
        """When it came in."""
        return show.time(reading.submitted_at)

    @display(description="Released")
    def released(self, reading: MeterReading) -> SafeString | str:
        """By whom, when and why."""
        if reading.released_at is None:
            return "no"
        when = show.time(reading.released_at)
        return format_html("{} by {}: {}", when, reading.released_by, reading.release_reason)


def results_of(reading_id: str) -> dict[str, Any]:
    """What became of one reading in every batch, the newest first."""
    results = MintResult.objects.filter(reading_id=UUID(reading_id))
    return tables.result_rows(results.select_related("batch", "transaction"))


def _paid_by(signature: str) -> QuerySet[Any]:
    """Ids of the readings that a transaction's bytes pay, released from it since or not."""
    return MintTransaction.objects.filter(signature=signature).values_list(
        Func("reading_ids", function="unnest", output_field=UUIDField()), flat=True
    )


def _of_wallet(address: str) -> QuerySet[Any]:
    """Ids of readings paid at an address, and of those whose owner is or was paid there."""
    owners = Wallet.objects.filter(address=address).values("owner")
    return (
        MeterReading.objects.filter(owner__in=owners)
        .values("pk")
        .union(MintResult.objects.filter(wallet_address=address).values("reading"))
    )


def _named(readings: QuerySet[MeterReading], text: str) -> QuerySet[MeterReading]:
    """By the beginning of a meter's serial or an owner's id or name, or by a whole external id.

    Only what leads somewhere is asked for: an OR over all three would walk the whole table.
    """
    ways = [
        *one_of("meter", Meter.objects.filter(serial__startswith=text)),
        *one_of("owner", Owner.objects.named(text)),
    ]
    return readings.filter(reduce(or_, ways) if ways else Q(external_id=text))
