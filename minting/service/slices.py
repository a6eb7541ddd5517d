"""Dealing a batch out in slices: pieces that one task can hold in memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from minting.engine.types import MintBatchData

READINGS_A_SLICE = 5_000
"""Large enough to fill many transactions (the last of a slice may be half empty), small enough to
stay in memory."""


def cut_slices(payable: Sequence[MintBatchData]) -> Iterator[list[MintBatchData]]:
    """Sorts by wallet and cuts, between wallets wherever a slice can hold one.

    The estimate cuts as the mint does, so that both pack the same transactions.
    """
    ordered = sorted(payable, key=lambda data: (data.wallet_address, data.user_id))
    start = 0
    while start < len(ordered):
        end = min(start + READINGS_A_SLICE, len(ordered))
        cut = end
        while end < len(ordered) and cut > start and _same_wallet(ordered[cut - 1], ordered[cut]):
            cut -= 1
        # One wallet with more readings than a slice holds is cut between readings after all.
        end = cut if cut > start else end
        yield ordered[start:end]
        start = end


def _same_wallet(left: MintBatchData, right: MintBatchData) -> bool:
    return left.wallet_address == right.wallet_address
