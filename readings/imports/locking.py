"""Everything that a file is about, locked before its first row: one order, whatever the rows'."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from uuid import UUID

from readings.candidate import Submission
from readings.formats import Row
from readings.imports.report import legible
from readings.models import Meter, MeterAssignment, Owner

AT_ONCE = 5_000
"""Meters that are looked up together."""


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
    """The serials in the file, none of its rows; some may come twice."""
    serials: set[str] = set()
    for row in rows:
        if isinstance(row.reading, Submission) and legible(row.reading.meter_serial) == (
            row.reading.meter_serial
        ):
            serials.add(row.reading.meter_serial.strip())
        if len(serials) >= AT_ONCE:
            yield serials
            serials = set()
    yield serials
