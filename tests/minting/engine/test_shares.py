"""A whole divided exactly: what a shared transaction costs each owner."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minting.engine.shares import shares

WEIGHTS = st.lists(st.integers(0, 10**6), min_size=1, max_size=50).filter(any)


@given(st.integers(0, 2**64 - 1), WEIGHTS)
def test_parts_add_up_and_none_is_a_unit_off(whole, weights):
    parts = shares(whole, weights)
    assert sum(parts) == whole
    for part, weight in zip(parts, weights, strict=True):
        assert abs(part - Fraction(whole * weight, sum(weights))) < 1
        assert weight or not part, "nobody pays for nothing"
    assert shares(whole, [7 * each for each in weights]) == parts


@given(WEIGHTS)
def test_who_weighs_more_never_pays_less(weights):
    pairs = sorted(zip(weights, shares(5_000, weights), strict=True))
    for (_, less), (_, more) in pairwise(pairs):
        assert less <= more


@pytest.mark.parametrize(
    ("whole", "weights", "parts"),
    [(10, [1, 1, 1], [4, 3, 3]), (2, [1, 1, 1], [1, 1, 0]), (0, [3], [0]), (5, [0, 1], [0, 5])],
)
def test_what_is_left_goes_to_the_first_of_equals(whole, weights, parts):
    assert shares(whole, weights) == parts


@pytest.mark.parametrize(("whole", "weights"), [(1, []), (1, [0]), (-1, [1]), (1, [2, -1])])
def test_nothing_is_divided_among_nobody(whole, weights):
    with pytest.raises(ValueError, match="cannot be divided"):
        shares(whole, weights)
