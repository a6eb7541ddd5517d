"""Who holds which meter when, as a line of a registry would have it; writes nothing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from uuid import UUID

from readings.errors import OverlappingAssignment, RegistryError
from readings.formats.registry import Entry
from readings.models import MeterAssignment


def assignments_of(meters: Sequence[UUID]) -> dict[UUID, list[MeterAssignment]]:
    """Each meter's, whoever's and whenever."""
    held: dict[UUID, list[MeterAssignment]] = defaultdict(list)
    for each in MeterAssignment.objects.filter(meter__in=meters).select_related("owner"):
        held[each.meter_id].append(each)
    return held


def ending(
    held: Iterable[MeterAssignment], entry: Entry, owner_id: UUID | None
) -> list[MeterAssignment] | None:
    """The open assignments that this entry's would end; ``None``: it is so already.

    As ``registry.assign_meter``; a finished assignment that is told again is so already, too.

    Raises:
        RegistryError: It ends before it starts.
        OverlappingAssignment: Somebody else holds the meter in that time.
    """
    starts, ends = entry.held_from, entry.held_until
    if starts is None:
        return None
    if ends is not None and ends <= starts:
        raise RegistryError("An assignment must end after it starts")
    same = [each for each in held if each.owner_id == owner_id]
    if any((each.starts_at, each.ends_at) == (starts, ends) for each in same):
        return None
    before = [each for each in held if each.ends_at is None and each.starts_at <= starts]
    if ends is None and any(each.owner_id == owner_id for each in before):
        return None
    ended = [each for each in before if each.starts_at != starts]
    for each in held:
        if each in ended:
            continue
        if (each.ends_at is None or each.ends_at > starts) and (
            ends is None or each.starts_at < ends
        ):
            raise OverlappingAssignment(entry.serial, starts)
    return ended
