"""All revisions of readings that are about to be told anew, under the locks that this takes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from operator import attrgetter
from uuid import UUID

from django.db.models.expressions import RawSQL

from readings.intake.context import Span, any_of, load_timelines, owners_with_wallet
from readings.models import Meter, MeterReading
from readings.periods import Timeline
from readings.rules import IN_FLIGHT, PeriodKind, ReadingStatus

_SAME = """
SELECT told.id
  FROM unnest(%s::uuid[]) AS named (id)
  JOIN readings_meterreading one ON one.id = named.id
  JOIN readings_meterreading told
    ON told.meter_id = one.meter_id AND told.period_end = one.period_end
   AND told.period_kind = one.period_kind
   AND (one.period_kind <> 'interval' OR told.period_start = one.period_start)
"""


@dataclass(slots=True)
class History:
    """The revisions of one reading, oldest first."""

    revisions: list[MeterReading]

    @property
    def first(self) -> MeterReading:
        """As it came in."""
        return self.revisions[0]

    @property
    def current(self) -> MeterReading:
        """The one that counts."""
        return next(one for one in self.revisions if one.is_current)

    @property
    def minted(self) -> MeterReading | None:
        """The one that was paid, if any."""
        return next((one for one in self.revisions if one.status == ReadingStatus.MINTED), None)

    @property
    def in_flight(self) -> MeterReading | None:
        """The one that is being minted, if any."""
        return next((one for one in self.revisions if one.status in IN_FLIGHT), None)


@dataclass(frozen=True, slots=True)
class Found:
    """What is known of readings, their meters and their owners."""

    histories: Mapping[UUID, History]
    """By the id of any revision; two of one reading share theirs."""
    timelines: Mapping[UUID, Timeline]
    """By meter, of intervals that are not minted."""
    payable: frozenset[UUID]
    """Owners with a wallet."""


def load_histories(reading_ids: Collection[UUID]) -> Found:
    """All revisions of readings; a constant number of queries.

    Locked after their meters and their owners, as everywhere.

    Args:
        reading_ids: Any revisions; unknown ones are passed by.
    """
    named = MeterReading.objects.filter(id__in=any_of(reading_ids, "uuid")).order_by()
    meters = Meter.objects.select_for_update(no_key=True).filter(id__in=named.values("meter"))
    by_id = {meter.id: meter for meter in meters.order_by("id")}
    # Read under the meters' locks: an owner that becomes known meanwhile is known here.
    owners = set(named.values_list("owner", flat=True)) - {None}
    payable = owners_with_wallet(owners)
    same = MeterReading.objects.filter(id__in=RawSQL(_SAME, [list(reading_ids)]))  # noqa: S611
    revisions = list(same.select_for_update(no_key=True).order_by("id"))
    for one in revisions:
        one.meter = by_id[one.meter_id]
    histories = list(_histories(revisions))
    return Found(
        histories={one.id: each for each in histories for one in each.revisions},
        timelines=load_timelines(_spans(histories)),
        payable=frozenset(payable),
    )


def _histories(revisions: Iterable[MeterReading]) -> Iterable[History]:
    same: dict[tuple[object, ...], list[MeterReading]] = defaultdict(list)
    for one in revisions:
        is_interval = one.period_kind == PeriodKind.INTERVAL
        start = one.period_start if is_interval else None
        same[one.meter_id, one.period_kind, start, one.period_end].append(one)
    return [History(sorted(each, key=attrgetter("revision"))) for each in same.values()]


def _spans(histories: Iterable[History]) -> Mapping[UUID, Iterable[Span]]:
    spans: dict[UUID, list[Span]] = defaultdict(list)
    for each in histories:
        first = each.first
        if first.period_kind == PeriodKind.INTERVAL and each.minted is None:
            spans[first.meter_id].append((first.period_start, first.period_end))
    return spans
