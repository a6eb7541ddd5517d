"""Meters, and who holds them when."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from unfold.admin import ModelAdmin
from unfold.decorators import action, display

from readings import intake
from readings.admin.base import RegisteredAdmin, RegistrationForm, ShownInline
from readings.models import Meter, MeterAssignment


class AssignmentInline(ShownInline):
    """Who held the meter, newest first."""

    model = MeterAssignment
    fields = ["owner", "starts_at", "ends_at"]
    readonly_fields = fields
    ordering = ["-starts_at"]


@admin.register(Meter)
class MeterAdmin(ModelAdmin):
    """What readings come from."""

    list_display = ["serial", "name", "location", "holder", "interval", "registered_at"]
    search_fields = ["serial", "name", "location", "assignments__owner__name"]
    ordering = ["serial"]
    inlines = [AssignmentInline]
    actions_detail = ["assign"]
    show_full_result_count = False

    def get_queryset(self, request: HttpRequest) -> QuerySet[Meter]:
        """With who holds the meter now."""
        held = MeterAssignment.objects.filter(meter=OuterRef("id"), ends_at=None)
        meters: QuerySet[Meter] = super().get_queryset(request)
        return meters.annotate(holder_name=Subquery(held.values("owner__name")[:1]))

    def get_readonly_fields(self, request: HttpRequest, obj: Meter | None = None) -> list[str]:  # noqa: ARG002
        """The serial stays: clients name the meter by it."""
        return ["serial", "registered_at"] if obj else []

    @display(description="Held by", empty_value="nobody: readings are held")
    def holder(self, meter: Meter) -> str | None:
        """Whose readings these are now."""
        return getattr(meter, "holder_name", None)

    @display(description="Interval", ordering="interval_seconds")
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
    list_display = ["meter", "owner", "starts_at", "ends_at"]
    list_select_related = ["meter", "owner"]
    search_fields = ["meter__serial", "owner__name", "owner__user_id"]
    autocomplete_fields = ["meter", "owner"]
    ordering = ["-starts_at"]

    def register(self, values: dict[str, Any]) -> MeterAssignment:
        """Through intake."""
        return intake.assign_meter(**values)
