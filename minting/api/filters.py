"""What a list of readings can be narrowed by."""

from __future__ import annotations

import django_filters  # type: ignore[import-untyped]
from django.db.models import QuerySet

from minting.api.shown import ids_with_wallet
from readings.models import MeterReading
from readings.rules import ReadingStatus


class ReadingFilter(django_filters.FilterSet):
    """Periods are taken whole: a reading counts if it lies between the two instants."""

    status = django_filters.ChoiceFilter(
        choices=[(each.value, each.value) for each in ReadingStatus]
    )
    meter = django_filters.CharFilter(field_name="meter__serial", help_text="The meter's serial.")
    owner = django_filters.CharFilter(field_name="owner__user_id", help_text="The owner's user_id.")
    wallet = django_filters.CharFilter(method="filter_wallet", help_text="As the reading shows it.")
    period_after = django_filters.IsoDateTimeFilter(
        field_name="period_start",
        lookup_expr="gte",
        help_text="Readings that start then or later (ISO 8601; without an offset: UTC).",
    )
    period_before = django_filters.IsoDateTimeFilter(
        field_name="period_end",
        lookup_expr="lte",
        help_text="Readings that end then or earlier.",
    )

    def filter_wallet(
        self, queryset: QuerySet[MeterReading], _name: str, value: str
    ) -> QuerySet[MeterReading]:
        """By the wallet that the reading is shown with."""
        return queryset.filter(id__in=ids_with_wallet(value))
