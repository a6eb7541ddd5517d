"""What a list of readings can be narrowed by."""

from __future__ import annotations

from datetime import datetime

import django_filters  # type: ignore[import-untyped]
from django.db.models import QuerySet

from minting.api.shown import ids_with_wallet
from readings.models import MeterReading
from readings.rules import EPOCH, FUTURE_TOLERANCE, ReadingStatus


class ReadingFilter(django_filters.FilterSet):
    """Periods are taken whole: a reading counts if it lies between the two instants.

    A bound also says something of the column that orders the list: a period ends after it starts,
    and no reading comes in before its period is over. Saying it bounds the walk of that index.
    """

    status = django_filters.ChoiceFilter(
        choices=[(each.value, each.value) for each in ReadingStatus]
    )
    meter = django_filters.CharFilter(field_name="meter__serial", help_text="The meter's serial.")
    owner = django_filters.CharFilter(field_name="owner__user_id", help_text="The owner's user_id.")
    wallet = django_filters.CharFilter(method="filter_wallet", help_text="As the reading shows it.")
    period_after = django_filters.IsoDateTimeFilter(
        method="filter_after",
        help_text="Readings that start then or later (ISO 8601; without an offset: UTC).",
    )
    period_before = django_filters.IsoDateTimeFilter(
        method="filter_before",
        help_text="Readings that end then or earlier.",
    )

    def filter_after(
        self, queryset: QuerySet[MeterReading], _name: str, value: datetime
    ) -> QuerySet[MeterReading]:
        """Those that start then or later."""
        narrowed = queryset.filter(period_start__gte=value)
        match self._ordered_by():
            case "period_end":
                return narrowed.filter(period_end__gt=value)
            case "submitted_at":
                return narrowed.filter(submitted_at__gte=max(value, EPOCH) - FUTURE_TOLERANCE)
            case _:
                return narrowed

    def filter_before(
        self, queryset: QuerySet[MeterReading], _name: str, value: datetime
    ) -> QuerySet[MeterReading]:
        """Those that end then or earlier."""
        return queryset.filter(period_end__lte=value)

    def _ordered_by(self) -> str:
        """The column; a list that is asked for periods is ordered by their ends unless told."""
        return str(self.data.get("ordering") or "period_end").removeprefix("-")

    def filter_wallet(
        self, queryset: QuerySet[MeterReading], _name: str, value: str
    ) -> QuerySet[MeterReading]:
        """By the wallet that the reading is shown with."""
        return queryset.filter(id__in=ids_with_wallet(value))
