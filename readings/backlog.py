"""What waits or stands still among the readings, in numbers."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from decimal import Decimal

from django.db.models import Count, Sum

from readings.models import MeterReading
from readings.rules import ReadingStatus

UNFINISHED = (
    ReadingStatus.PENDING,
    ReadingStatus.HELD,
    ReadingStatus.RETRYING,
    ReadingStatus.FAILED,
    ReadingStatus.MINTING,
    ReadingStatus.IN_DOUBT,
)
"""What may yet be minted. Not what never is: consumption may be half of all readings."""


@dataclass(frozen=True, slots=True)
class Amount:
    """Readings and their energy."""

    readings: int = 0
    kwh: Decimal = Decimal(0)

    def __add__(self, other: Amount) -> Amount:
        return Amount(self.readings + other.readings, self.kwh + other.kwh)


@dataclass(frozen=True, slots=True)
class Pile:
    """Readings that stand at the same place for the same reason."""

    status: ReadingStatus
    code: str
    amount: Amount


def piles() -> list[Pile]:
    """All that is not finished, by status and code; the index alone answers."""
    rows = (
        MeterReading.objects.filter(status__in=[each.value for each in UNFINISHED])
        .order_by()
        .values_list("status", "code")
        .annotate(readings=Count("*"), kwh=Sum("kwh_amount"))
    )
    return [
        Pile(ReadingStatus(status), code, Amount(readings, kwh))
        for status, code, readings, kwh in rows
    ]


def total(heap: Collection[Pile], status: ReadingStatus) -> Amount:
    """What has this status, whatever the reason."""
    return sum((each.amount for each in heap if each.status is status), Amount())


def consumption() -> int:
    """Readings that never are minted; the index alone answers."""
    return MeterReading.objects.filter(status=ReadingStatus.NOT_MINTED).count()
