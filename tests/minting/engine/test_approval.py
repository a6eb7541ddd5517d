"""What an approval is bound to, and when one is needed: pure."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from minting.engine.approval import (
    ApprovalPolicy,
    Asked,
    batch_digest,
    fee_cap,
    slice_digest,
)
from minting.engine.types import Cost

payments = st.lists(
    st.tuples(st.uuids(), st.sampled_from(["wallet-a", "wallet-b"]), st.integers(1, 2**64 - 1)),
    min_size=1,
    max_size=8,
    unique_by=lambda each: each[0],
)


def policy(kwh: str | None = None, lamports: int | None = None) -> ApprovalPolicy:
    return ApprovalPolicy(Decimal(kwh) if kwh else None, lamports, timedelta(hours=1))


@given(payments, st.randoms(use_true_random=False))
def test_a_digest_depends_on_what_is_paid_and_not_on_the_order(paid, random):
    shuffled = [*paid]
    random.shuffle(shuffled)
    assert slice_digest(paid) == slice_digest(shuffled)


@given(payments, st.data())
def test_any_change_changes_the_digest(paid, draw):
    place = draw.draw(st.integers(0, len(paid) - 1))
    id_, wallet, units = paid[place]
    for changed in (
        (UUID(int=id_.int ^ 1), wallet, units),
        (id_, wallet + "x", units),
        (id_, wallet, units + 1),
    ):
        assert slice_digest([*paid[:place], changed, *paid[place + 1 :]]) != slice_digest(paid)
    assert slice_digest([*paid[:place], *paid[place + 1 :]]) != slice_digest(paid)


def test_a_batch_is_bound_to_its_cap_its_mint_and_each_slice_in_order():
    told: dict[str, Any] = {
        "batch_id": UUID(int=1),
        "mint": "mint",
        "fee_cap_lamports": 5,
        "slices": [b"a" * 32, b"b" * 32],
    }
    digest = batch_digest(**told)
    for change in (
        {"batch_id": UUID(int=2)},
        {"mint": "other"},
        {"fee_cap_lamports": 6},
        {"slices": [b"b" * 32, b"a" * 32]},
        {"slices": [b"a" * 32]},
    ):
        assert batch_digest(**(told | change)) != digest


def test_nothing_needs_approval_unless_set():
    assert not policy().is_on
    assert policy().why(Asked(Decimal(10**9), 10**18), Asked(Decimal(0), 0)) == ""


def test_a_limit_is_passed_above_it_and_what_was_asked_before_counts():
    limited = policy(kwh="100", lamports=1_000)
    nothing = Asked(Decimal(0), 0)
    assert limited.why(Asked(Decimal(100), 1_000), nothing) == ""
    assert limited.why(Asked(Decimal("100.1"), 0), nothing) == "100.1 kWh, above 100 kWh"
    assert limited.why(Asked(Decimal(1), 1_001), nothing) == "1,001 lamports, above 1,000 lamports"
    assert limited.why(Asked(Decimal(60), 0), Asked(Decimal(50), 0)) == (
        "110 kWh, above 100 kWh in 24 hours"
    )


@given(st.integers(0, 10**12), st.integers(0, 10**12), st.integers(0, 10**15))
def test_a_cap_leaves_room_above_the_estimate(network, priority, rent):
    cost = Cost(network, priority, rent)
    assert fee_cap(cost) >= cost.total + 100_000
