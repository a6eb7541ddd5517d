"""Everything that a file is about, locked before its first row: one order, whatever the rows'."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from uuid import UUID

from readings.candidate import Submission
from readings.formats import Row
from readings.models import Meter, MeterAssignment, Owner

AT_ONCE = 10_000
"""Rows whose meters are looked up together."""


def lock_all(rows: Iterable[Row]) -> None:
    """Locks the meters that rows name, and their owners, until the transaction ends.

    An import takes its rows chunk by chunk within one transaction. Were meters locked as they come,
    it and a door could wait for each other.
    """
    ids: set[UUID] = set()
    for serials in _serials(rows):
        ids |= set(Meter.objects.filter(serial__in=serials).values_list("id", flat=True))
    meters = Meter.objects.select_for_update(no_key=True).filter(id__in=ids).order_by("id")
    for _ in meters.values_list("id").iterator():
        pass
    holders = MeterAssignment.objects.filter(meter__in=ids).values("owner")
    owners = Owner.objects.select_for_update(no_key=True).filter(id__in=holders).order_by("id")
    for _ in owners.values_list("id").iterator():
        pass


def _serials(rows: Iterable[Row]) -> Iterator[set[str]]:
    rest = iter(rows)
    while chunk := list(islice(rest, AT_ONCE)):
        yield {
            row.reading.meter_serial.strip()
            for row in chunk
            if isinstance(row.reading, Submission) and "\0" not in row.reading.meter_serial
        }
