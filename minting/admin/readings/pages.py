"""Meter readings: found, looked at, released, selected for minting."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import admin
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.functional import SimpleLazyObject
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.decorators import action, display

from minting.admin import addresses, filters, show, tables
from minting.admin.exporting import READING_COLUMNS, ExportedList
from minting.admin.readings import finding
from minting.admin.readings.corrections import CorrectionPages
from minting.admin.readings.held import HeldPages
from minting.admin.readings.revisions import revisions_of
from minting.admin.readings.worth import earns
from minting.models import MintResult
from minting.service.requests.prepare import MATCHING, NAMED
from minting.service.requests.selections import freeze
from readings.admin.search import Sought
from readings.models import MeterReading, MeterReadingQuerySet
from readings.rules import IN_FLIGHT, ReadingStatus

PAID = {*IN_FLIGHT, ReadingStatus.MINTED}
"""Statuses in which wallet and tokens are those of the result; else those of a mint of now."""


def _of_result(column: str) -> Subquery:
    """What the last result says; asked for the rows shown only."""
    return Subquery(MintResult.objects.filter(pk=OuterRef("last_result_id")).values(column)[:1])


@admin.register(MeterReading)
class MeterReadingAdmin(HeldPages, CorrectionPages, ExportedList):
    """Readings come in by intake; here they are seen, released, corrected and minted."""

    export_columns = READING_COLUMNS

    list_display = (
        "meter_serial",
        "status_badge",
        "owner_name",
        "paid_at",
        "energy",
        "tokens",
        "period",
        "outcome",
    )
    list_filter = (
        ("status", ChoicesDropdownFilter),
        filters.ReasonFilter,
        ("verification", ChoicesDropdownFilter),
        ("period_end", filters.PeriodFilter),
        ("kwh_amount", filters.AmountFilter),
        filters.MeterFilter,
        filters.OwnerFilter,
        filters.FileFilter,
    )
    list_filter_submit = True
    ordering = ("-submitted_at", "-id")
    search_fields = ("id",)
    search_help_text = (
        "Reading id, meter, owner, wallet or transaction signature, whole or how it begins"
    )
    actions = ("mint_selected", "release_selected")
    when_empty = (
        "Readings come in by the API, in files or through the platform's doors. Register owners, "
        "wallets and meters first; manage.py seed_demo makes some of each to try things with."
    )
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
        "generated",
        "consumed",
        "current",
        "corrected",
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
                    ("generated", "consumed"),
                    ("revision", "current"),
                    ("corrected", "correction_reason"),
                )
            },
        ),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[MeterReading]:
        """With what a row shows."""
        readings: MeterReadingQuerySet = super().get_queryset(request)
        return (
            readings.select_related("meter", "owner")
            .with_wallet_address()
            .annotate(
                tx_signature=_of_result("tx_signature"),
                result_wallet=_of_result("wallet_address"),
                result_units=_of_result("base_units"),
            )
        )

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
            "can_correct": self.has_correct_permission(request),
            "revisions": SimpleLazyObject(lambda: revisions_of(object_id)),
            "mintable": NAMED,
        }
        return super().change_view(  # type: ignore[no-any-return]
            request, object_id, form_url, {**(extra_context or {}), **extra}
        )

    def find(self, readings: QuerySet[MeterReading], named: Sought) -> QuerySet[MeterReading]:
        """The readings that a text names."""
        return finding.find(readings, named)

    # Minting and releasing

    @action(description="Mint selected", permissions=["mint"])
    def mint_selected(self, request: HttpRequest, queryset: QuerySet[MeterReading]) -> HttpResponse:
        """Freezes the selection and asks for confirmation.

        Ticked rows are all taken, and told one by one why they cannot be minted. Of "all that
        match" those that can be are, and the others are counted.
        """
        if request.POST.get("select_across") == "1":
            selection = freeze(queryset, request.user, taking=_wanted(request))
        else:
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
    def owner_name(self, reading: MeterReading) -> SafeString | str:
        """Name and user id."""
        return format_html('<span class="gt-name">{}</span>', reading.owner or "")

    @display(description="Owner")
    def owner_link(self, reading: MeterReading) -> SafeString | str:
        """The owner's page."""
        return show.row_link(reading.owner)

    @display(description="File", empty_value="")
    def file_link(self, reading: MeterReading) -> SafeString | str:
        """The file that told it, if one did."""
        return show.row_link(reading.import_file)

    @display(description="Owner's wallet now", empty_value="none")
    def wallet(self, reading: MeterReading) -> SafeString | None:
        """Where a mint of now would pay."""
        return addresses.wallet(reading.owner_wallet_address)

    @display(description="Wallet", empty_value="none")
    def paid_at(self, reading: MeterReading) -> SafeString | None:
        """Where it was paid or, before it is, where a mint of now would pay."""
        paid = reading.status in PAID and getattr(reading, "result_wallet", None)
        return addresses.wallet(paid or reading.owner_wallet_address)

    @display(description="Tokens", empty_value="")
    def tokens(self, reading: MeterReading) -> SafeString | str:
        """What it earned or, before that, would earn now."""
        if reading.status == ReadingStatus.NOT_MINTED:
            return ""
        units = reading.status in PAID and getattr(reading, "result_units", None)
        return show.unbroken(show.tokens(units or earns(reading.kwh_amount)))

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

    @display(description="Outcome", empty_value="")
    def outcome(self, reading: MeterReading) -> SafeString | str | None:
        """The transaction that pays it, else the reason why none does."""
        signature = getattr(reading, "tx_signature", None)
        if reading.status in PAID and signature:
            return addresses.signature(signature)
        return reading.reason or reading.code.replace("_", " ")

    @display(description="Transaction", empty_value="")
    def signature(self, reading: MeterReading) -> SafeString | None:
        """Of the transaction that pays it."""
        return addresses.signature(getattr(reading, "tx_signature", None))

    @display(description="Submitted")
    def submitted(self, reading: MeterReading) -> SafeString | str:
        """When it came in."""
        return show.time(reading.submitted_at)

    @display(description="Energy generated", empty_value="not told")
    def generated(self, reading: MeterReading) -> str | None:
        """As the meter told it besides; never minted."""
        return show.kwh(reading.energy_generated) or None

    @display(description="Energy consumed", empty_value="not told")
    def consumed(self, reading: MeterReading) -> str | None:
        """Likewise."""
        return show.kwh(reading.energy_consumed) or None

    @display(description="Current")
    def current(self, reading: MeterReading) -> str:
        """Whether no later revision took its place."""
        return "yes" if reading.is_current else "no: corrected by a later revision"

    @display(description="Correction after minting", empty_value="")
    def corrected(self, reading: MeterReading) -> str:
        """What a correction after minting made of it; recorded, never minted."""
        return show.kwh(reading.correction_difference)

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


def _wanted(request: HttpRequest) -> frozenset[ReadingStatus]:
    """Statuses that "all that match" takes: pending, and such as the list was filtered by."""
    asked = {*request.GET.getlist("status__exact"), *request.GET.getlist("status__in")}
    return MATCHING | {status for status in NAMED if status.value in asked}
