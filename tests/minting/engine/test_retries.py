"""Backoff: exponential, capped, exact."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from math import ceil

from hypothesis import given
from hypothesis import strategies as st

from minting.engine.retries import NO_RETRIES, RetryPolicy

DEFAULT = RetryPolicy(3, 300, Decimal("2.0"), 3600)

policies = st.builds(
    RetryPolicy,
    max_attempts=st.integers(0, 100),
    initial_delay=st.integers(1, 31_536_000),
    multiplier=st.decimals("1", "1000", places=3),
    max_delay=st.integers(1, 31_536_000),
)


def test_the_defaults_wait_five_ten_and_twenty_minutes():
    waits = [DEFAULT.delay(number) for number in range(5)]
    assert waits == [timedelta(minutes=minutes) for minutes in (5, 10, 20, 40, 60)]
    assert [DEFAULT.has_attempt_left(number) for number in range(5)] == [True] * 3 + [False] * 2


def test_without_attempts_nothing_is_tried_again():
    assert not NO_RETRIES.has_attempt_left(0)


def test_an_absurd_multiplier_is_capped():
    policy = RetryPolicy(3, 300, Decimal("1e999999"), 3600)
    assert [policy.delay(number).seconds for number in range(3)] == [300, 3600, 3600]


@given(policies, st.integers(0, 12))
def test_each_delay_is_the_exact_product_rounded_up_and_capped(policy, number):
    exact = policy.initial_delay * Fraction(policy.multiplier) ** number
    assert policy.delay(number) == timedelta(seconds=min(ceil(exact), policy.max_delay))


@given(policies, st.integers(0, 32_767))
def test_delays_never_shrink_and_never_pass_the_cap(policy, number):
    delay, later = policy.delay(number), policy.delay(number + 1)
    assert timedelta(0) < delay <= later <= timedelta(seconds=policy.max_delay)
    assert delay == int(delay.total_seconds()) * timedelta(seconds=1)
