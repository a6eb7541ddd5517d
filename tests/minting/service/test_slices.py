"""Dealing out: pure, so that hypothesis can try many."""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal
from unittest.mock import patch
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from minting.engine import batching
from minting.engine.types import Destination, MintBatchData
from minting.service.plan import slices
from tests.minting.engine.cast import wallet

MAX_TOKENS = 10**12

wallets_of = st.lists(st.integers(0, 6), max_size=60).map(sorted)


def data(number: int, owner: int) -> MintBatchData:
    return MintBatchData(UUID(int=number), "user", str(wallet(owner)), Decimal(1), 10**9)


def payments_to(owners: list[int]) -> list[MintBatchData]:
    payments = [data(number, owner) for number, owner in enumerate(owners)]
    return sorted(payments, key=lambda each: (each.wallet_address, each.reading_id))


def groups_of(payments):
    for address in dict.fromkeys(each.wallet_address for each in payments):
        rows = [each for each in payments if each.wallet_address == address]
        for group in batching.group_by_wallet(rows, max_tokens=MAX_TOKENS):
            yield address, Destination(group, group.wallet, create=False)


@given(wallets_of, st.integers(1, 9))
def test_without_a_plan_nothing_is_lost_and_a_wallet_that_fits_is_not_divided(owners, size):
    payments = payments_to(owners)

    with patch.object(slices, "READINGS_A_SLICE", size), _readings_a_transaction(size):
        dealt = list(slices.Deal(MAX_TOKENS).deal(payments))

    assert [each.data for each in dealt] == payments
    assert {each.planned for each in dealt} <= {None}
    held = _by_slice(dealt)
    assert list(held) == list(range(len(held)))
    assert all(0 < len(each) <= size for each in held.values())
    for address in {each.wallet_address for each in payments}:
        holding = [each for each in held.values() if address in each]
        assert len(holding) == 1 or sum(each.count(address) for each in holding) > size


@given(wallets_of, st.integers(1, 9), st.randoms(use_true_random=False))
def test_a_planned_transaction_is_never_divided_between_slices(owners, size, random):
    payments = payments_to(owners)
    deal = slices.Deal(MAX_TOKENS)
    with patch.object(slices, "READINGS_A_SLICE", size), _readings_a_transaction(size):
        planned: dict[UUID, int] = {}
        for address, paid in groups_of(payments):
            number = random.randrange(20)
            deal.note(address, paid, number)
            planned |= {payment.reading_id: number for payment in paid.group.payments}
        dealt = list(deal.deal(payments))

    assert [each.data for each in dealt] == payments
    assert {each.data.reading_id: each.planned for each in dealt} == planned
    slices_of = defaultdict(set)
    for each in dealt:
        slices_of[each.planned].add(each.slice_number)
    assert all(len(found) == 1 for found in slices_of.values())
    in_order = [found.pop() for _, found in sorted(slices_of.items())]
    assert in_order == sorted(in_order)


@given(wallets_of, st.data())
def test_what_changed_since_the_plan_still_travels_once(owners, draw):
    payments = payments_to(owners)
    deal = slices.Deal(MAX_TOKENS)
    known = draw.draw(st.sets(st.sampled_from(payments))) if payments else set()
    for number, (address, paid) in enumerate(
        groups_of([each for each in payments if each in known])
    ):
        deal.note(address, paid, number)

    dealt = list(deal.deal(payments))

    assert [each.data for each in dealt] == payments
    known_wallets = {each.wallet_address for each in known}
    for each in dealt:
        assert (each.planned is not None) == (each.data.wallet_address in known_wallets)


def _by_slice(dealt):
    held = defaultdict(list)
    for each in dealt:
        held[each.slice_number].append(each.data.wallet_address)
    return held


def _readings_a_transaction(size: int):
    """Groups are cut as small as the slices of the test."""
    return patch.object(batching.group_by_wallet, "__kwdefaults__", {"max_readings": size})
