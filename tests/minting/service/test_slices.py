"""Slices: pure, so that hypothesis can try many."""

from __future__ import annotations

from decimal import Decimal
from unittest.mock import patch
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from minting.engine.types import MintBatchData
from minting.service import slices


def data(number: int, wallet: int) -> MintBatchData:
    return MintBatchData(UUID(int=number), "user", f"wallet-{wallet}", Decimal(1), 10**9)


@given(st.lists(st.integers(0, 6), max_size=60), st.integers(1, 9))
def test_nothing_is_lost_and_a_wallet_that_fits_is_not_divided(wallets, size):
    payable = [data(number, wallet) for number, wallet in enumerate(wallets)]

    with patch.object(slices, "READINGS_A_SLICE", size):
        parts = list(slices.cut_slices(payable))

    assert sorted(each.reading_id.int for part in parts for each in part) == list(
        range(len(wallets))
    )
    assert all(0 < len(part) <= size for part in parts)
    for wallet in set(wallets):
        holding = [
            part for part in parts if f"wallet-{wallet}" in {each.wallet_address for each in part}
        ]
        assert len(holding) == 1 or wallets.count(wallet) > size
