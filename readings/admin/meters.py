"""Meters, and who holds them when."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.auth.models import User
from django.db.models import OuterRef, Q, QuerySet, Subquery
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from unfold.decorators import action, display

from readings import intake
from readings.admin import times
from readings.admin.base import RegisteredAdmin, RegistrationForm, ShownInline
from readings.admin.history import HistoryPages
from readings.admin.lists import FoundByShape, counted, keys_of
from readings.admin.search import Kind, Sought
from readings.models import Meter, MeterAssignment, Owner, Wallet

STARTS = times.column("starts_at", "Starts at")
ENDS = times.column("ends_at", "Ends at", never="it lasts")
# Ids are UUIDv7: their order is that of registration, and it has an index.
REGISTERED = times.column("registered_at", "Registered at", ordering="id")


class AssignmentInline(ShownInline):
    """Who held the meter, newest first."""

    model = MeterAssignment
    fields = ["owner", STARTS, ENDS]
    readonly_fields = fields
    ordering = ["-starts_at"]
    hide_title = True
    """Its columns say all of it."""


@admin.register(Meter)
class MeterAdmin(HistoryPages, FoundByShape):
    """What readings come from."""

    list_display = ["serial", "name", "location", "holder", "interval", REGISTERED]
    sortable_by = ["serial", REGISTERED]
    search_fields = ["id"]
    search_help_text = (
        "Beginning of the serial, of words of name or location, or of the holder's; or a wallet"
    )
    ordering = ["serial"]
    inlines = [AssignmentInline]
    actions_detail = ["assign"]
    when_empty = "Readings are taken of registered meters only: add one, and assign it to an owner."

    def get_queryset(self, request: HttpRequest) -> QuerySet[Meter]:
        """With who holds the meter now."""
        held = MeterAssignment.objects.filter(meter=OuterRef("id"), ends_at=None)
        meters: QuerySet[Meter] = super().get_queryset(request)
        return meters.annotate(holder_name=Subquery(held.values("owner__name")[:1]))

    def get_readonly_fields(
        self,
        request: HttpRequest,  # noqa: ARG002
        obj: Meter | None = None,
    ) -> list[str | times.Column]:
        """The serial stays: clients name the meter by it."""
        return ["serial", REGISTERED] if obj else []

    def find(self, meters: QuerySet[Meter], named: Sought) -> QuerySet[Meter]:
        """By id, by how serial, name or location begin, or by who holds or held them."""
        match named.kind:
            case Kind.ID:
                return meters.filter(pk=named.id)
            case Kind.WALLET:
                owners = Wallet.objects.filter(address=named.text).values("owner")
                held = MeterAssignment.objects.filter(owner__in=owners)
                return meters.filter(pk__in=held.values("meter"))
            case Kind.SIGNATURE:
                return meters.none()
            case Kind.NAME:
                owners = counted(Owner.objects.named(named.text))
                held = MeterAssignment.objects.filter(owner__in=owners)
                named_so = Meter.objects.named(named.text)
                return meters.filter(pk__in=keys_of(named_so.values("pk"), held.values("meter")))

    @display(description="Held by", empty_value="nobody: readings are held")
    def holder(self, meter: Meter) -> str | None:
        """Whose readings these are now."""
        return getattr(meter, "holder_name", None)

    @display(description="Interval")
    def interval(self, meter: Meter) -> str:
        """In minutes where that is whole."""
        minutes, seconds = divmod(meter.interval_seconds, 60)
        return f"{minutes} min" if not seconds else f"{meter.interval_seconds} s"

    @action(description="Assign to an owner", permissions=["assign"])
    def assign(self, request: HttpRequest, object_id: str) -> HttpResponse:  # noqa: ARG002
        """Leads to the form."""
        add = reverse("admin:readings_meterassignment_add")
        return HttpResponseRedirect(f"{add}?meter={object_id}")

    def has_assign_permission(self, request: HttpRequest, *_: object) -> bool:
        """Who may assign meters at all."""
        return request.user.has_perm("readings.add_meterassignment")


class MeterAssignmentForm(RegistrationForm):
    """Who holds a meter from when on; ends the open assignment before."""

    class Meta:
        model = MeterAssignment
        fields = ["meter", "owner", "starts_at", "ends_at"]


@admin.register(MeterAssignment)
class MeterAssignmentAdmin(RegisteredAdmin):
    """Who holds which meter when."""

    form = MeterAssignmentForm
    list_display = ["meter", "owner", STARTS, ENDS]
    shown_fields = ["meter", "owner", STARTS, ENDS]
    list_select_related = ["meter", "owner"]
    search_fields = ["id"]
    search_help_text = "Beginning of the meter's serial, or of the owner's id, name or email"
    autocomplete_fields = ["meter", "owner"]
    ordering = ["-id"]

    def register(self, values: dict[str, Any], *, by: User) -> MeterAssignment:  # noqa: ARG002
        """Through intake; the change log tells who."""
        return intake.assign_meter(**values)

    def find(self, held: QuerySet[MeterAssignment], named: Sought) -> QuerySet[MeterAssignment]:
        """By meter, or by owner."""
        if named.kind is Kind.ID:
            return held.filter(Q(meter=named.id) | Q(owner=named.id))
        meters = counted(Meter.objects.filter(serial__startswith=named.text))
        owners = counted(Owner.objects.named(named.text))
        by_meter = MeterAssignment.objects.filter(meter__in=meters)
        by_owner = MeterAssignment.objects.filter(owner__in=owners)
        return held.filter(pk__in=keys_of(by_meter.values("pk"), by_owner.values("pk")))
