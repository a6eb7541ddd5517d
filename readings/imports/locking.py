"""Everything that a file is about, locked before its first row: one order, whatever the rows'."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any
from uuid import UUID

from django.db.models import QuerySet

from readings.candidate import Submission
from readings.formats import Row
from readings.formats.registry import BadEntry, Entry
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
    _lock(Meter.objects.filter(id__in=ids))
    _lock(
        Owner.objects.filter(id__in=MeterAssignment.objects.filter(meter__in=ids).values("owner"))
    )


def lock_registry(lines: Iterable[Entry | BadEntry], *, at_once: int) -> tuple[int, frozenset[int]]:
    """Locks the meters and owners that a registry names and that are there already.

    Args:
        lines: Of the file.
        at_once: Lines of a part.

    Returns:
        How many lines there are, and the hashes of the names that more than one part has.
    """
    lines = iter(lines)
    count, seen, again = 0, set[int](), set[int]()
    meters, owners = set[UUID](), set[UUID]()
    while part := list(islice(lines, at_once)):
        count += len(part)
        entries = [each for each in part if isinstance(each, Entry)]
        serials = {each.serial for each in entries if each.serial}
        user_ids = {each.user_id for each in entries if each.user_id}
        meters |= set(Meter.objects.filter(serial__in=serials).values_list("id", flat=True))
        owners |= set(Owner.objects.filter(user_id__in=user_ids).values_list("id", flat=True))
        hashes = {hash(name) for name in serials | user_ids}
        again |= hashes & seen
        seen |= hashes
    _lock(Meter.objects.filter(id__in=meters))
    _lock(Owner.objects.filter(id__in=owners))
    return count, frozenset(again)


def _lock(rows: QuerySet[Any]) -> None:
    for _ in rows.select_for_update(no_key=True).order_by("id").values_list("id").iterator():
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
