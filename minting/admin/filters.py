"""Filters that find their rows by an index."""

# ruff: noqa: ARG002 - Django hands over more than is wanted

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any, ClassVar
from uuid import UUID

from django.contrib.admin.views.main import ChangeList
from django.db.models import QuerySet
from django.forms import Form
from django.http import HttpRequest
from unfold.contrib.filters.admin import (
    DropdownFilter,
    RangeDateFilter,
    RangeNumericFilter,
    TextFilter,
)
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
LARGEST = Decimal(10) ** 11
"""kWh; the column holds no more, and a number beyond its digits would be an error."""

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


class AmountFilter(RangeNumericFilter):
    """Readings of so many kWh, both ends included."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Named by its unit."""
        super().__init__(*args, **kwargs)
        self.title = "exported kWh"

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[MeterReading]
    ) -> QuerySet[MeterReading]:
        """Those within; what is no number asks for nothing."""
        least, most = self._number("from"), self._number("to")
        if least is not None:
            queryset = queryset.filter(kwh_amount__gte=least)
        if most is not None:
            queryset = queryset.filter(kwh_amount__lte=most)
        return queryset

    def choices(self, changelist: ChangeList) -> Iterator[dict[str, Any]]:
        """Two fields that screen readers can tell apart."""
        return labelled(super().choices(changelist), self.title)

    def _number(self, end: str) -> Decimal | None:
        text = self.used_parameters.get(f"{self.parameter_name}_{end}") or ""
        try:
            number = Decimal(str(text).strip())
        except InvalidOperation:
            return None
        return number if number.is_finite() and abs(number) < LARGEST else None


def labelled(choices: Iterator[dict[str, Any]], title: str) -> Iterator[dict[str, Any]]:
    """Filters of two fields show placeholders only: says beside each what it is."""
    for choice in choices:
        form: Form = choice["form"]
        for name, field in form.fields.items():
            end = "from" if name.endswith("_from") else "to"
            field.widget.attrs["aria-label"] = f"{title}, {end}"
        yield choice


class PeriodFilter(RangeDateFilter):
    """Readings whose period lies in these days, UTC, both included."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Named by what its days are."""
        super().__init__(*args, **kwargs)
        self.title = "end of the period (days in UTC)"

    def choices(self, changelist: ChangeList) -> Iterator[dict[str, Any]]:
        """Two fields that screen readers can tell apart."""
        return labelled(super().choices(changelist), self.title)

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
