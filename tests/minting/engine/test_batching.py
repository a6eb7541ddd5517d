from __future__ import annotations

from collections import Counter
from dataclasses import replace
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minting.engine.batching import group_by_wallet, optimize_batch, validate
from minting.engine.errors import BatchTooLarge, EmptyBatch, InvalidBatchData, WalletRefused
from minting.engine.types import U64_MAX, MintBatchData
from tests.minting.engine.cast import reading_id, wallet

ONE = Decimal(1)


def item(number: int, units: int = 1_000_000_000, *, user: int = 0, pays: int | None = None):
    return MintBatchData(
        reading_id=reading_id(number),
        user_id=f"user-{user}",
        wallet_address=str(wallet(user if pays is None else pays)),
        kwh_amount=Decimal(units).scaleb(-9),
        tokens_to_mint=units,
    )


def check(batch: list[MintBatchData], max_size: int = 50) -> None:
    validate(batch, max_size=max_size, ratio=ONE, decimals=9)


def problems(batch: list[MintBatchData]) -> list[tuple[int, str]]:
    """(place in the batch, code) of each problem."""
    with pytest.raises(InvalidBatchData) as caught:
        check(batch)
    ids = [each.reading_id for each in batch]
    return sorted((ids.index(each.reading_id), each.code) for each in caught.value.items)


def test_a_good_batch_passes():
    check([item(number, user=number) for number in range(50)])


def test_an_empty_batch_is_refused():
    with pytest.raises(EmptyBatch):
        check([])


def test_a_batch_above_the_limit_is_refused():
    with pytest.raises(BatchTooLarge) as caught:
        check([item(number) for number in range(4)], max_size=3)
    assert (caught.value.size, caught.value.max_size) == (4, 3)


def test_all_problems_are_told_at_once():
    good = item(0)
    batch = [
        good,
        item(1),
        item(1),
        replace(item(2), tokens_to_mint=5),
        replace(item(3), tokens_to_mint=0),
        replace(item(4), tokens_to_mint=U64_MAX + 1),
        replace(item(5), kwh_amount=Decimal("NaN")),
        replace(item(6), wallet_address="0xd3adbeef", tokens_to_mint=-1),
        replace(item(7), wallet_address="1" * 32),
    ]
    assert problems(batch) == [
        (1, "named_twice"),
        (3, "wrong_amount"),
        (4, "invalid_amount"),
        (5, "invalid_amount"),
        (6, "invalid_amount"),
        (7, "invalid_amount"),
        (7, "invalid_wallet"),
        (8, "forbidden_wallet"),
    ]


units = st.one_of(st.integers(0, 200), st.sampled_from([U64_MAX, U64_MAX - 1]))


@given(
    amounts=st.lists(units, max_size=40),
    max_size=st.integers(1, 7),
    max_tokens=st.one_of(st.integers(1, 300), st.just(U64_MAX)),
)
def test_optimize_batch_keeps_order_loses_nothing_and_respects_both_limits(
    amounts, max_size, max_tokens
):
    batch = [item(number, amount) for number, amount in enumerate(amounts)]
    parts = optimize_batch(batch, max_size=max_size, max_tokens=max_tokens)
    assert [each for part in parts for each in part] == batch
    sums = [min(sum(each.tokens_to_mint for each in part), U64_MAX) for part in parts]
    for part, total in zip(parts, sums, strict=True):
        assert 1 <= len(part) <= max_size
        assert total <= max_tokens or len(part) == 1
    for (part, following), total in zip(pairwise(parts), sums[:-1], strict=True):
        grown = min(total + following[0].tokens_to_mint, U64_MAX)
        assert len(part) == max_size or grown > max_tokens, "greedy"


def test_an_item_above_the_token_limit_goes_alone():
    batch = [item(0, 1), item(1, 101), item(2, 1), item(3, 99)]
    parts = optimize_batch(batch, max_size=50, max_tokens=100)
    assert [[each.tokens_to_mint for each in part] for part in parts] == [[1], [101], [1, 99]]


def test_a_changed_wallet_is_a_group_of_its_own():
    """The seed pays the first wallet for all of a user's readings."""
    batch = [item(0, 5, user=1, pays=1), item(1, 7, user=1, pays=2), item(2, 9, user=1, pays=1)]
    groups = group_by_wallet(batch, max_tokens=U64_MAX)
    assert {group.wallet: group.base_units for group in groups} == {wallet(1): 14, wallet(2): 7}


def test_two_users_of_one_wallet_are_two_groups():
    groups = group_by_wallet(
        [item(0, 5, user=1, pays=9), item(1, 7, user=2, pays=9)], max_tokens=99
    )
    assert [(group.user_id, group.base_units) for group in groups] == [("user-1", 5), ("user-2", 7)]


readings = st.lists(
    st.tuples(st.integers(1, 150), st.integers(0, 4), st.integers(0, 2)), max_size=40
)


@given(readings=readings, max_tokens=st.integers(1, 400), shuffle=st.randoms())
def test_i7_grouping_conserves_every_payment(readings, max_tokens, shuffle):
    batch = [
        item(number, amount, user=user, pays=pays)
        for number, (amount, user, pays) in enumerate(readings)
    ]
    groups = group_by_wallet(batch, max_tokens=max_tokens)
    assert Counter(
        (group.user_id, str(group.wallet), payment.reading_id, payment.base_units)
        for group in groups
        for payment in group.payments
    ) == Counter(
        (each.user_id, each.wallet_address, each.reading_id, each.tokens_to_mint) for each in batch
    )
    for group in groups:
        assert group.base_units <= max_tokens or len(group.payments) == 1
    keys = [
        (bytes(group.wallet), group.user_id, payment.reading_id.bytes)
        for group in groups
        for payment in group.payments
    ]
    assert keys == sorted(keys)
    shuffle.shuffle(batch)
    assert group_by_wallet(batch, max_tokens=max_tokens) == groups


def test_a_sum_beyond_u64_is_split_even_without_a_token_limit():
    groups = group_by_wallet([item(0, U64_MAX), item(1, U64_MAX)], max_tokens=2**70)
    assert [group.base_units for group in groups] == [U64_MAX, U64_MAX]


@pytest.mark.parametrize("units", [0, -1, U64_MAX + 1])
def test_grouping_refuses_what_cannot_be_minted(units):
    with pytest.raises(InvalidBatchData):
        group_by_wallet([item(0, units)], max_tokens=100)


def test_i1_grouping_refuses_a_reading_named_twice():
    with pytest.raises(InvalidBatchData):
        group_by_wallet([item(0, 1), item(0, 1)], max_tokens=100)


def test_grouping_refuses_a_wallet_that_is_none():
    with pytest.raises(WalletRefused) as caught:
        group_by_wallet([replace(item(0), wallet_address="nowhere")], max_tokens=100)
    assert caught.value.code == "invalid_wallet"
