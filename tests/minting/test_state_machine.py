"""Journal and chain with faults as rules: I1 to I9 after every step, and all ends well."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.minting.machine import LONG, ExactlyOnce

SETTINGS = settings(
    max_examples=int(LONG or 5),
    stateful_step_count=40 if LONG else 12,
    derandomize=not LONG,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.django_db(transaction=True)
@pytest.mark.timeout(0 if LONG else 180)
def test_whatever_happens_in_whatever_order_no_reading_is_paid_twice_or_lost(minting_chain):
    minting_chain.net.pause()
    try:
        make: Any = partial(ExactlyOnce, minting_chain)  # typed as a class; any maker will do
        run_state_machine_as_test(make, settings=SETTINGS)
    finally:
        minting_chain.net.resume()
