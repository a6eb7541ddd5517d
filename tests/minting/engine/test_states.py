from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from itertools import product
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minting.engine import states
from minting.engine.states import (
    FINAL_BATCHES,
    LIVE_RESULTS,
    LIVE_TRANSACTIONS,
    OPEN_RESULTS,
    SUCCEEDED_RESULTS,
    BatchStatus,
    IllegalMoveError,
    ReadingStatus,
    ResultStatus,
    SliceStatus,
    TransactionStatus,
    assert_move,
    batch_status,
    can_move,
    reading_status,
)

TABLES: Mapping[type[StrEnum], frozenset[tuple[StrEnum, StrEnum]]] = {
    TransactionStatus: states.TRANSACTION_MOVES,
    ResultStatus: states.RESULT_MOVES,
    SliceStatus: states.SLICE_MOVES,
    BatchStatus: states.BATCH_MOVES,
}
FIRST: Mapping[type[StrEnum], set[StrEnum]] = {
    TransactionStatus: {TransactionStatus.PLANNED},
    ResultStatus: {ResultStatus.PENDING},
    SliceStatus: {SliceStatus.QUEUED, SliceStatus.AWAITING_APPROVAL},
    BatchStatus: {BatchStatus.QUEUED, BatchStatus.AWAITING_APPROVAL},
}


@pytest.mark.parametrize("kind", TABLES)
def test_the_tables_moves_and_no_others_are_allowed(kind):
    for old, new in product(kind, kind):
        if (old, new) in TABLES[kind]:
            assert_move(old, new)
        else:
            assert not can_move(old, new)
            with pytest.raises(IllegalMoveError, match=f"{kind.__name__}: {old} → {new}"):
                assert_move(old, new)


@pytest.mark.parametrize("kind", TABLES)
def test_every_state_can_be_reached(kind):
    reached = set(FIRST[kind])
    while grown := {new for old, new in TABLES[kind] if old in reached} - reached:
        reached |= grown
    assert reached == set(kind)


def ends(kind: type[StrEnum]) -> set[StrEnum]:
    return set(kind) - {old for old, _ in TABLES[kind]}


def test_i4_what_is_final_stays_so():
    assert ends(TransactionStatus) == {
        TransactionStatus.FINALIZED,
        TransactionStatus.FAILED,
        TransactionStatus.EXPIRED,
    }
    assert ends(ResultStatus) == {
        ResultStatus.FINALIZED,
        ResultStatus.FAILED,
        ResultStatus.CANCELLED,
    }


def test_i4_a_confirmed_transaction_expires_only_after_it_vanished():
    assert not can_move(TransactionStatus.CONFIRMED, TransactionStatus.EXPIRED)
    assert can_move(TransactionStatus.CONFIRMED, TransactionStatus.SENT)
    assert can_move(TransactionStatus.SENT, TransactionStatus.EXPIRED)


def test_i2_nothing_is_sent_that_was_not_signed():
    into_sent = {old for old, new in states.TRANSACTION_MOVES if new is TransactionStatus.SENT}
    assert into_sent == {TransactionStatus.SIGNED, TransactionStatus.CONFIRMED}


def test_i1_a_live_result_is_open_or_succeeded():
    assert LIVE_RESULTS == OPEN_RESULTS | SUCCEEDED_RESULTS
    assert set(ResultStatus) - LIVE_RESULTS == {ResultStatus.FAILED, ResultStatus.CANCELLED}
    assert LIVE_TRANSACTIONS.isdisjoint(ends(TransactionStatus))


counts = st.dictionaries(st.sampled_from(ResultStatus), st.integers(0, 3))


@given(counts=counts)
def test_i9_a_batch_is_what_its_results_are(counts):
    total = sum(counts.values())
    if not total:
        with pytest.raises(ValueError, match="without results"):
            batch_status(counts)
        return
    minted = sum(counts.get(status, 0) for status in SUCCEEDED_RESULTS)
    status = batch_status(counts)
    if any(counts.get(each, 0) for each in OPEN_RESULTS):
        assert status is BatchStatus.RUNNING
    else:
        assert status in FINAL_BATCHES
        assert (status is BatchStatus.SUCCEEDED) == (minted == total)
        assert (status is BatchStatus.PARTIALLY_SUCCEEDED) == (0 < minted < total)
        cancelled = counts.get(ResultStatus.CANCELLED, 0) == total
        assert (status is BatchStatus.CANCELLED) == cancelled


@pytest.mark.parametrize(
    ("result", "permanent", "status"),
    [
        (ResultStatus.PENDING, False, "minting"),
        (ResultStatus.IN_DOUBT, False, "in_doubt"),
        (ResultStatus.CONFIRMED, False, "minted"),
        (ResultStatus.FINALIZED, False, "minted"),
        (ResultStatus.FAILED, False, "retrying"),
        (ResultStatus.FAILED, True, "failed"),
        (ResultStatus.CANCELLED, False, "pending"),
    ],
)
def test_a_reading_follows_its_last_result(result, permanent, status):
    assert reading_status(result, permanent) == status
    assert status in get_args(ReadingStatus)
