"""The timeline against a brute-force one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from uuid import uuid4

from hypothesis import given
from hypothesis import strategies as st

from readings.periods import OVERLAP_TOLERANCE, Timeline, Told, windows
from readings.rules import PeriodKind

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
QUARTER = timedelta(minutes=15)


def told(start, end, *, kind=PeriodKind.INTERVAL, kwh="1", is_current=True, gives_way=False):
    values = (Decimal(kwh), None, None)
    return Told(uuid4(), kind, start, end, values, is_current, gives_way)


def at(seconds):
    return NOON + timedelta(seconds=seconds)


SPANS = st.tuples(st.integers(0, 200), st.integers(1, 60)).map(
    lambda span: (at(span[0]), at(span[0] + span[1]))
)


@given(st.lists(SPANS, max_size=20), SPANS)
def test_overlap_is_what_comparing_with_all_says(spans, span):
    timeline = Timeline(told(*one) for one in spans)
    apart = [
        end - span[0] <= OVERLAP_TOLERANCE or span[1] - start <= OVERLAP_TOLERANCE
        for start, end in spans
    ]
    assert timeline.overlaps(*span) == (not all(apart))


def test_a_second_inside_an_interval_is_no_tolerance():
    timeline = Timeline([told(NOON, NOON + QUARTER)])
    assert timeline.overlaps(at(60), at(60.5))


def test_a_second_of_overlap_is_tolerated():
    timeline = Timeline([told(NOON, NOON + QUARTER)])
    after = NOON + QUARTER
    second = timedelta(seconds=1)
    assert not timeline.overlaps(after, after + QUARTER)
    assert not timeline.overlaps(after - second, after + QUARTER)
    assert timeline.overlaps(after - second - timedelta(microseconds=1), after + QUARTER)
    assert not timeline.overlaps(NOON - QUARTER, NOON + second)


def test_only_current_intervals_that_do_not_give_way_stand_in_the_way():
    span = (NOON, NOON + QUARTER)
    timeline = Timeline(
        [
            told(*span, is_current=False),
            told(*span, gives_way=True),
            told(*span, kind=PeriodKind.TIMESTAMP),
        ]
    )
    assert not timeline.overlaps(*span)


def test_a_repeat_finds_the_revision_it_repeats():
    old = told(NOON, NOON + QUARTER, kwh="1", is_current=False)
    new = told(NOON, NOON + QUARTER, kwh="2")
    timeline = Timeline([old, new])
    identity = new.identity
    assert timeline.same(identity, (Decimal(1), None, None)) == (old, True)
    assert timeline.same(identity, (Decimal(2), None, None)) == (new, True)
    assert timeline.same(identity, (Decimal(3), None, None)) == (new, False)
    assert timeline.same((None, NOON + QUARTER), (Decimal(2), None, None)) is None


def test_a_timestamp_starts_where_the_previous_ended_if_that_is_near():
    end = NOON + QUARTER
    assert Timeline().start_of(end, QUARTER) == NOON
    near = told(NOON, NOON + timedelta(minutes=10), kind=PeriodKind.TIMESTAMP)
    far = told(NOON - QUARTER, NOON - timedelta(minutes=1), kind=PeriodKind.TIMESTAMP)
    later = told(NOON, NOON + 2 * QUARTER, kind=PeriodKind.TIMESTAMP)
    assert Timeline([far]).start_of(end, QUARTER) == NOON
    assert Timeline([near, far, later]).start_of(end, QUARTER) == near.end
    assert Timeline([told(near.start, near.end)]).start_of(end, QUARTER) == NOON


@given(st.lists(SPANS, max_size=30))
def test_windows_are_apart_and_cover_every_span(spans):
    joined = windows(spans)
    assert all(left[1] < right[0] for left, right in pairwise(joined))
    for start, end in spans:
        assert any(window[0] <= start and end <= window[1] for window in joined)
    assert {edge for window in joined for edge in window} <= {e for span in spans for e in span}
