"""What intake looks up: always a constant number of queries, under locks on meters and owners."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from uuid import UUID

from django.db import connection
from django.db.models.expressions import RawSQL

from readings.models import Meter, MeterAssignment, Owner, Wallet
from readings.periods import Timeline, Told, windows
from readings.rules import MAX_PERIOD, PeriodKind, ReadingCode

Span = tuple[datetime, datetime]

_TOLD = """
SELECT r.meter_id, r.id, r.period_kind, r.period_start, r.period_end,
       r.kwh_amount, r.energy_generated, r.energy_consumed, r.is_current, r.code
  FROM unnest(%s::uuid[], %s::timestamptz[], %s::timestamptz[]) AS w (meter_id, starts, ends)
  JOIN readings_meterreading r
    ON r.meter_id = w.meter_id AND r.period_end > w.starts AND r.period_start < w.ends
   AND r.period_end < w.ends + %s
"""
# No period is longer than ``MAX_PERIOD``, so the last line takes nothing away: it ends the walk
# through the index, which would go on to the meter's newest reading.


def lock_meters(serials: Collection[str]) -> dict[str, Meter]:
    """Meters by serial; whoever else takes readings of one of them waits.

    Inserting what refers to a meter does not wait (``no_key``).
    """
    meters = Meter.objects.select_for_update(no_key=True).only("serial", "interval_seconds")
    named = meters.filter(serial__in=any_of(serials, "text")).order_by("id")
    return {meter.serial: meter for meter in named}


def load_timelines(spans: Mapping[UUID, Iterable[Span]]) -> dict[UUID, Timeline]:
    """What these meters told in and around these spans.

    Args:
        spans: By meter.
    """
    looked_up = [
        (meter_id, start, end) for meter_id, own in spans.items() for start, end in windows(own)
    ]
    found: dict[UUID, dict[UUID, Told]] = defaultdict(dict)
    if looked_up:
        with connection.cursor() as cursor:
            columns = [list(column) for column in zip(*looked_up, strict=True)]
            cursor.execute(_TOLD, [*columns, MAX_PERIOD])
            for meter_id, reading_id, kind, start, end, *values, is_current, code in cursor:
                found[meter_id][reading_id] = Told(
                    reading_id=reading_id,
                    kind=PeriodKind(kind),
                    start=start,
                    end=end,
                    values=tuple(values),
                    is_current=is_current,
                    gives_way=code == ReadingCode.OVERLAPPING_PERIOD,
                )
    return {meter_id: Timeline(found[meter_id].values()) for meter_id in spans}


class Holders:
    """Who held which meter when."""

    def __init__(self, meter_ids: Collection[UUID]) -> None:
        self._by_meter: dict[UUID, list[tuple[UUID, datetime, datetime | None]]] = defaultdict(list)
        assignments = MeterAssignment.objects.filter(meter__in=any_of(meter_ids, "uuid"))
        rows = assignments.values_list("meter", "owner", "starts_at", "ends_at")
        for meter_id, owner_id, starts_at, ends_at in rows:
            self._by_meter[meter_id].append((owner_id, starts_at, ends_at))

    def at(self, meter_id: UUID, period_end: datetime) -> UUID | None:
        """The owner of a period that ends then.

        A period that ends as an assignment ends still belongs to it: the energy before that
        moment was measured under the old owner.
        """
        for owner_id, starts_at, ends_at in self._by_meter[meter_id]:
            if starts_at < period_end and (ends_at is None or period_end <= ends_at):
                return owner_id
        return None


def owners_with_wallet(owner_ids: Collection[UUID]) -> set[UUID]:
    """Which of these owners can be paid, kept true by locks until the transaction ends."""
    owners = Owner.objects.select_for_update(no_key=True)
    locked = owners.filter(id__in=any_of(owner_ids, "uuid")).order_by("id")
    ids = list(locked.values_list("id", flat=True))
    current = Wallet.objects.current().filter(owner__in=any_of(ids, "uuid"))
    return set(current.values_list("owner", flat=True))


def any_of(values: Iterable[object], kind: str) -> RawSQL:
    """For ``…__in``: one parameter, where Django would prepare each of a thousand."""
    return RawSQL(f"SELECT unnest(%s::{kind}[])", [list(values)])  # noqa: S611 — kind is ours
