"""When to look again, and how high the chain can be by now."""

from __future__ import annotations

import asyncio

import pytest

from minting.engine.types import EpochInfo
from minting.service.chain.heights import Heights
from minting.service.chain.pace import EAGER, FIRST_GUESS, LONGEST, SHORTEST, SLOWEST, Pace


def looks(pace: Pace, lands_after: float) -> list[float]:
    """The ages at which something that lands after so long is looked at."""
    seen: list[float] = []
    age = 0.0
    while age < lands_after:
        age += pace.wait([age])
        seen.append(age)
    return seen


def test_nothing_is_looked_at_before_it_can_have_landed():
    assert Pace().wait([0.0]) == pytest.approx(EAGER * FIRST_GUESS)
    assert Pace().wait([0.0, 0.3]) == SHORTEST
    assert Pace().wait([]) == LONGEST


@pytest.mark.parametrize("slots", [0.1, 0.9, 2.5])
def test_it_learns_what_is_usual_and_then_looks_twice_at_most(slots):
    pace = Pace()
    for _ in range(30):
        seen = looks(pace, slots)
        pace.landed(seen[-1])

    assert len(seen) <= 3
    assert seen[-1] - slots <= max(slots / 5, SHORTEST)


def test_what_never_lands_is_not_forgotten():
    pace = Pace()
    assert pace.wait([60.0]) == LONGEST
    pace.landed(10_000.0)
    assert pace.wait([0.0]) <= EAGER * SLOWEST


class Node:
    def __init__(self, *, slot: int, height: int) -> None:
        self.answer = EpochInfo(slot=slot, block_height=height)

    async def epoch_info(self, _commitment):
        return self.answer


def test_a_height_bounds_those_of_later_slots_and_of_no_earlier_ones():
    heights = Heights()
    assert heights.at_most(100) is None
    assert asyncio.run(heights.ask(Node(slot=100, height=80))) == 80

    assert heights.at_most(100) == 80
    assert heights.at_most(130) == 110
    assert heights.at_most(99) is None


def test_a_life_may_be_over_when_nothing_bounds_it_or_the_bound_says_so():
    heights = Heights()
    assert heights.may_be_past(10**9)
    asyncio.run(heights.ask(Node(slot=100, height=80)))

    assert not heights.may_be_past(80)
    heights.saw(102)
    assert heights.may_be_past(80)
    assert not heights.may_be_past(81)
    # A node that is behind bounds nothing.
    heights.saw(50)
    assert heights.may_be_past(10**9)
