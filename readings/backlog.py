"""What waits or stands still among the readings, in numbers."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from django.db.models import Count, Sum

from readings.models import MeterReading, MeterReadingQuerySet
from readings.rules import ReadingCode, ReadingStatus

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
    return _piled(MeterReading.objects.all())


def piles_of(owner_id: UUID) -> list[Pile]:
    """The same of one owner."""
    return _piled(MeterReading.objects.current().filter(owner=owner_id))


def next_of(owner_id: UUID, *, has_wallet: bool) -> Amount:
    """What the next batch would pay this owner, or would if there were a wallet; by an index.

    Args:
        owner_id: The owner.
        has_wallet: Whether there is one: then nothing is held for want of it.
    """
    own = MeterReading.objects.filter(owner=owner_id)
    waits = own.mintable() if has_wallet else own.held(ReadingCode.NO_WALLET)
    sums = waits.aggregate(readings=Count("*"), kwh=Sum("kwh_amount", default=Decimal(0)))
    return Amount(sums["readings"], sums["kwh"])


def _piled(readings: MeterReadingQuerySet) -> list[Pile]:
    rows = (
        readings.filter(status__in=[each.value for each in UNFINISHED])
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
