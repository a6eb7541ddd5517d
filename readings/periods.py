"""Periods of one meter: which are told again, which overlap, where a timestamp's starts. Pure."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from readings.rules import PeriodKind, same_values

OVERLAP_TOLERANCE = timedelta(seconds=1)
"""Clocks of meters are no better: one period may end so much after the next one starts."""

Values = tuple[Decimal, Decimal | None, Decimal | None]
"""kWh exported, generated, consumed."""

Identity = tuple[datetime | None, datetime]
"""What makes two readings of a meter the same: (start, end), without start for a timestamp."""


@dataclass(frozen=True, slots=True)
class Told:
    """A reading of the meter that came in before."""

    reading_id: UUID
    kind: PeriodKind
    start: datetime
    end: datetime
    values: Values
    is_current: bool
    gives_way: bool
    """Held for overlapping itself, so that it stands in nobody's way."""

    @property
    def identity(self) -> Identity:
        """What makes another reading the same."""
        return (self.start if self.kind is PeriodKind.INTERVAL else None, self.end)


class Timeline:
    """What one meter told, as far as it is near the readings in question."""

    def __init__(self, told: Iterable[Told] = ()) -> None:
        self._told: dict[Identity, list[Told]] = {}
        self._intervals: list[tuple[datetime, datetime]] = []
        self._longest = timedelta(0)
        self._timestamps: list[datetime] = []
        self._by_end: list[tuple[datetime, datetime]] = []
        self._longest_by_end = timedelta(0)
        for one in told:
            self.add(one)

    def add(self, told: Told) -> None:
        """Remembers a reading."""
        self._told.setdefault(told.identity, []).append(told)
        if not told.is_current:
            return
        if told.kind is PeriodKind.TIMESTAMP:
            insort(self._timestamps, told.end)
            if told.values[0] > 0:
                insort(self._by_end, (told.start, told.end))
                self._longest_by_end = max(self._longest_by_end, told.end - told.start)
        elif not told.gives_way:
            insort(self._intervals, (told.start, told.end))
            self._longest = max(self._longest, told.end - told.start)

    def forget(self, identity: Identity) -> None:
        """Leaves out what was told of a period that is about to be told anew."""
        for told in self._told.pop(identity, ()):
            if not told.is_current:
                continue
            if told.kind is PeriodKind.TIMESTAMP:
                self._timestamps.remove(told.end)
                if told.values[0] > 0:
                    self._by_end.remove((told.start, told.end))
            elif not told.gives_way:
                self._intervals.remove((told.start, told.end))

    def same(self, identity: Identity, values: Values) -> tuple[Told, bool] | None:
        """The reading of this identity that came in before, and whether its values agree.

        A repeat of an older revision is a repeat too: its sender gets the id it got then.
        """
        revisions = self._told.get(identity)
        if not revisions:
            return None
        newest_first = sorted(revisions, key=lambda told: not told.is_current)
        for told in newest_first:
            if same_values(told.values, values):
                return told, True
        return newest_first[0], False

    def overlaps(self, start: datetime, end: datetime) -> bool:
        """Whether an interval and another of this meter reach into one another."""
        return _reach(self._intervals, self._longest, start, end)

    def told_otherwise(self, kind: PeriodKind, start: datetime, end: datetime) -> bool:
        """Whether a reading whose period was told in the other way reaches into this one.

        No rule keeps the two apart, since the start of one is only computed; people may want to.
        """
        if kind is PeriodKind.INTERVAL:
            return _reach(self._by_end, self._longest_by_end, start, end)
        return self.overlaps(start, end)

    def start_of(self, timestamp: datetime, interval: timedelta) -> datetime:
        """Where the interval starts that is told by its end.

        At the end of the previous such reading if that is nearer than the interval.
        """
        earliest = timestamp - interval
        at = bisect_left(self._timestamps, timestamp)
        return max(earliest, self._timestamps[at - 1]) if at else earliest


def _reach(
    spans: Sequence[tuple[datetime, datetime]], longest: timedelta, start: datetime, end: datetime
) -> bool:
    """Whether any of the spans, none longer than ``longest``, reaches into this one."""
    latest_start, earliest_end = end - OVERLAP_TOLERANCE, start + OVERLAP_TOLERANCE
    first = bisect_left(spans, (earliest_end - longest,))
    last = bisect_left(spans, (latest_start,))
    return any(other_end > earliest_end for _, other_end in spans[first:last])


def windows(spans: Iterable[tuple[datetime, datetime]]) -> Sequence[tuple[datetime, datetime]]:
    """Spans joined where they touch, so that a month of quarter hours is one look-up."""
    joined: list[tuple[datetime, datetime]] = []
    for start, end in sorted(spans):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], end))
        else:
            joined.append((start, end))
    return joined
