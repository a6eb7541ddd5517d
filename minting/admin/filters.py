"""Filters that find their rows by an index."""

# ruff: noqa: ARG002 - Django hands over more than is wanted

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import Any, ClassVar
from uuid import UUID

from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.contrib.filters.admin import DropdownFilter, RangeDateFilter, TextFilter
from unfold.utils import parse_date_str

from readings.models import MeterReading
from readings.rules import ReadingCode

HELD = (
    ReadingCode.NO_WALLET,
    ReadingCode.READING_TOO_LARGE,
    ReadingCode.READING_TOO_OLD,
    ReadingCode.OVERLAPPING_PERIOD,
    ReadingCode.UNVERIFIED,
)
NOT_MINTED = (ReadingCode.CONSUMPTION, ReadingCode.SUPERSEDED, ReadingCode.CORRECTED_AFTER_MINTING)


class NamedRowFilter(TextFilter):
    """Rows of one named thing: typed in whole, since a list of millions names nobody."""

    path: ClassVar[str]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Those of exactly this name."""
        name = (self.value() or "").strip()
        return queryset.filter(**{self.path: name}) if name else queryset


class MeterFilter(NamedRowFilter):
    """Readings of one meter."""

    title = "meter (serial)"
    parameter_name = "meter"
    path = "meter__serial"


class OwnerFilter(NamedRowFilter):
    """Readings of one owner."""

    title = "owner (user id)"
    parameter_name = "owner"
    path = "owner__user_id"


class BatchFilter(NamedRowFilter):
    """What belongs to one batch."""

    title = "batch (id)"
    parameter_name = "batch"

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Those of this batch; none for what is no id."""
        text = (self.value() or "").strip()
        if not text:
            return queryset
        try:
            return queryset.filter(batch=UUID(text))
        except ValueError:
            return queryset.none()


class FileFilter(NamedRowFilter):
    """Readings that one imported file told."""

    title = "file (id of the import)"
    parameter_name = "file"

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Those of this file; none for what is no id."""
        text = (self.value() or "").strip()
        if not text:
            return queryset
        try:
            return queryset.filter(import_file=UUID(text))
        except ValueError:
            return queryset.none()


class ReasonFilter(DropdownFilter):
    """Readings that stand for one reason, which implies their status."""

    title = "reason"
    parameter_name = "reason"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """The rules' codes."""
        return [
            (code.value, code.value.replace("_", " ").capitalize()) for code in HELD + NOT_MINTED
        ]

    def queryset(
        self,
        request: HttpRequest,
        queryset: QuerySet[MeterReading],
    ) -> QuerySet[MeterReading]:
        """Those with the code."""
        code = self.value()
        return queryset.filter(code=code) if code else queryset


class PeriodFilter(RangeDateFilter):
    """Readings whose period lies in these days, UTC, both included."""

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[MeterReading]
    ) -> QuerySet[MeterReading]:
        """Those that ended within them; what is no date asks for nothing."""
        first, last = self._midnight("from"), self._midnight("to")
        if first is not None:
            # A period that ends at midnight belongs to the day before.
            queryset = queryset.filter(period_end__gt=first)
        if last is not None:
            queryset = queryset.filter(period_end__lte=last + timedelta(days=1))
        return queryset

    def _midnight(self, end: str) -> datetime | None:
        text = self.used_parameters.get(f"{self.parameter_name}_{end}")
        day = parse_date_str(text) if text else None
        return datetime.combine(day, time(), UTC) if day else None
