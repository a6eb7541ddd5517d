"""Walking a long history back: whole, in little memory, and never trusted when it is cut short."""

from __future__ import annotations

import asyncio
import time
import tracemalloc
from collections.abc import Callable
from typing import cast

import pytest

from minting.cluster.client import Node
from minting.cluster.history import BackwardWalk, fetch_landed
from minting.engine.audit import sort_page
from minting.engine.errors import SolanaError
from minting.engine.states import TransactionStatus
from minting.engine.types import HistoryEntry, LandedTransaction
from tests.minting.engine.cast import MINT

MINT_ADDRESS = MINT.pubkey()


class History:
    """A node with ``size`` transactions, the newest in slot ``size``, made when asked for."""

    name = "fake"

    def __init__(self, size: int, *, knows: Callable[[int], bool] = lambda _: True) -> None:
        self.size, self.knows, self.calls = size, knows, 0

    async def signatures_for_address(self, address, *, before, limit, **_options):
        assert address == MINT_ADDRESS
        self.calls += 1
        newest = self.size if before is None else int(before) - 1
        if not self.knows(newest):
            return ()
        return tuple(
            HistoryEntry(str(number), number, None, None)
            for number in range(newest, max(0, newest - limit), -1)
        )

    async def transaction(self, signature):
        return LandedTransaction(signature, 1, None, b"", 0, (), ())


def as_node(history: History) -> Node:
    """For whoever asks for a node's type; it has what a walk needs of one."""
    return cast(Node, history)


def walk(node, **options) -> list[HistoryEntry]:
    async def all_of_it():
        way = BackwardWalk(as_node(node), MINT_ADDRESS, **{"up_to_slot": 10**9, **options})
        found: list[HistoryEntry] = []
        while not way.done:
            found += await way.page()
        return found

    return asyncio.run(all_of_it())


def test_a_hundred_thousand_transactions_in_little_memory_and_time():
    """A page at a time: memory must not grow with the history, nor the calls beyond its pages."""
    node = History(100_000)

    async def through() -> int:
        way = BackwardWalk(as_node(node), MINT_ADDRESS, up_to_slot=100_000)
        settled = 0
        while not way.done:
            page = await way.page()
            known = {entry.signature: TransactionStatus.FINALIZED for entry in page}
            settled += len(sort_page(page, known).settled)
        return settled

    started = time.process_time()
    tracemalloc.start()
    try:
        settled = asyncio.run(through())
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert settled == 100_000
    assert node.calls == 101
    assert peak < 8 * 2**20
    assert time.process_time() - started < 30


def test_it_ends_at_the_known_signature_and_begins_at_the_slot():
    found = walk(History(5_000), until="2500", until_slot=2_500, up_to_slot=4_000)
    assert [entry.slot for entry in found] == list(range(4_000, 2_500, -1))


def test_nothing_new_is_one_call():
    node = History(5_000)
    assert walk(node, until="5000", until_slot=5_000) == []
    assert node.calls == 1


def test_a_history_that_ends_before_the_known_signature_is_refused():
    with pytest.raises(SolanaError, match="does not know the history back to 17"):
        walk(History(5_000, knows=lambda newest: newest > 2_000), until="17", until_slot=17)


def test_a_history_that_passes_the_known_end_is_refused():
    with pytest.raises(SolanaError, match="without lost"):
        walk(History(5_000), until="lost", until_slot=4_500)


class Circling(History):
    async def signatures_for_address(self, address, *, before, limit, **options):
        del before  # what it does not honour
        return await super().signatures_for_address(address, before=None, limit=limit, **options)


def test_a_node_that_does_not_page_backwards_is_refused():
    with pytest.raises(SolanaError, match="does not page"):
        walk(Circling(5_000))


def test_a_node_that_keeps_no_inner_instructions_is_not_believed():
    with pytest.raises(SolanaError, match="does not have the whole"):
        asyncio.run(fetch_landed(as_node(History(1)), ["1"]))
