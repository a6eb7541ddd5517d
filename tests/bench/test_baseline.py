from __future__ import annotations

from solders.pubkey import Pubkey

from bench.baseline import MAX_TOKENS, Payment, optimized


def payments(number: int, base_units: int = 1) -> list[Payment]:
    return [Payment(f"user-{n}", Pubkey.default(), base_units) for n in range(number)]


def test_batches_are_cut_as_the_seed_cuts_them():
    assert [len(batch) for batch in optimized(payments(120))] == [50, 50, 20]
    assert [len(batch) for batch in optimized(payments(5, MAX_TOKENS // 2))] == [2, 2, 1]
    assert [len(batch) for batch in optimized(payments(2, MAX_TOKENS + 1))] == [1, 1]
    assert optimized([]) == []


def test_order_is_kept():
    all_ = payments(70)

    assert [payment for batch in optimized(all_) for payment in batch] == all_
