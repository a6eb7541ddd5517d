"""The rate that was promised to a provider, over everything that asks it."""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import stat
import struct
import sys
import time
from bisect import bisect_left
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import pytest
from solders.pubkey import Pubkey

from minting.cluster import throttle as throttles
from minting.cluster.client import Node
from minting.cluster.nodes import Cluster
from minting.cluster.throttle import MARGIN, Throttle
from minting.engine.errors import SolanaError
from minting.engine.types import Watched
from tests.minting.cluster.fake_node import GENESIS, Drop, FakeNode, value

PER_SECOND = 40
SECONDS = 3.0

CALLER = f"""
import asyncio, structlog, sys
from pathlib import Path
from minting.cluster.nodes import Cluster
from minting.cluster.throttle import Throttle

structlog.configure(logger_factory=structlog.ReturnLoggerFactory())

async def main(url, file):
    async with Cluster([url], throttle=Throttle({PER_SECOND}, Path(file))) as cluster:
        await cluster.slot()
        print("ready", flush=True)
        async def reads():
            while True:
                await cluster.slot()
        async def sends():
            while True:
                await cluster.send(b"the same bytes")
        await asyncio.gather(*(kind() for kind in (reads, sends) for _ in range(4)))

asyncio.run(main(*sys.argv[1:]))
"""
"""Asks and sends as fast as it may, eight at a time, until it is killed."""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "data" / "rpc-turns"


def most_in_a_second(moments: Sequence[float]) -> int:
    return max(
        bisect_left(moments, moment + 1) - place for place, moment in enumerate(sorted(moments))
    )


def test_processes_together_keep_the_rate_whoever_of_them_is_killed(file):
    moments: list[float] = []

    def noted(*_params: object) -> int:
        moments.append(time.monotonic())
        return 1

    async def start(url: str) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            sys.executable, "-c", CALLER, url, str(file), stdout=asyncio.subprocess.PIPE
        )

    async def run() -> None:
        answers = {"getGenesisHash": lambda *_: noted() and GENESIS}
        async with FakeNode(**answers, getSlot=noted, sendTransaction=noted) as fake:
            callers = [await start(fake.url) for _ in range(4)]
            try:
                for caller in callers:
                    assert caller.stdout is not None
                    assert await caller.stdout.readline() == b"ready\n"
                moments.clear()
                begun = time.monotonic()
                for victim in callers[:2]:
                    await asyncio.sleep(SECONDS / 3)
                    victim.send_signal(signal.SIGKILL)
                await asyncio.sleep(SECONDS / 3)
                took = time.monotonic() - begun
            finally:
                for caller in callers:
                    if caller.returncode is None:
                        caller.kill()
                    await caller.wait()
        assert most_in_a_second(moments) <= PER_SECOND
        # And the rate is used: nobody's death kept a turn for itself.
        assert len(moments) >= 0.75 * PER_SECOND * took

    asyncio.run(run())


class Counting(Throttle):
    """Counts the turns it gave."""

    turns = 0

    async def wait_turn(self) -> None:
        await super().wait_turn()
        self.turns += 1


def test_every_request_takes_a_turn_repeats_and_proofs_of_death_too(file):
    throttle = Counting(10_000, file)
    watched = Watched("signature", GENESIS, blockhash_slot=10, last_valid_block_height=20)
    epoch = {"absoluteSlot": 100, "blockHeight": 90, "epoch": 0, "slotIndex": 0, "slotsInEpoch": 1}
    answers = {
        "getSlot": [Drop(), 200],
        "getEpochInfo": epoch,
        "getSignatureStatuses": lambda signatures, _: value([None for _ in signatures], slot=200),
        "getMultipleAccounts": lambda names, _: value([None for _ in names]),
        "sendTransaction": "signature",
    }

    async def run() -> None:
        async with FakeNode(**answers) as one, FakeNode(**answers) as other:
            async with Cluster([one.url, other.url], throttle=throttle) as cluster:
                await cluster.slot()
                await cluster.accounts([Pubkey.default()] * 250)
                await cluster.send(b"bytes")
                await cluster.send(b"bytes")
                await cluster.health()
                before = throttle.turns
                evidence = await cluster.death_evidence(
                    [watched], Pubkey.default(), is_known=lambda _: False
                )
                assert len(evidence["signature"].reports) == 3
                assert throttle.turns - before >= 5
            assert throttle.turns == len(one.heard) + len(other.heard)

    asyncio.run(run())


def test_no_second_holds_more_over_event_loops_and_objects(file):
    async def take(turns: int) -> list[float]:
        shared = [Throttle(50, file), Throttle(50, file)]
        taken = []
        for turn in range(turns):
            await shared[turn % 2].wait_turn()
            taken.append(time.monotonic())
        return taken

    taken = asyncio.run(take(40)) + asyncio.run(take(40))
    assert most_in_a_second(taken) <= 50
    # Half a second's worth at once, the others at the rate.
    assert taken[24] - taken[0] < 0.25
    assert 1.5 * (1 + MARGIN) - 0.1 <= taken[-1] - taken[0] < 2.5
    assert all(later > earlier for earlier, later in pairwise(taken))


def test_what_nobody_asked_for_half_a_second_may_be_made_up_for_and_no_more(file):
    async def run() -> list[float]:
        throttle = Throttle(20, file)
        taken = []
        for pause in (0.0, 2.0):
            await asyncio.sleep(pause)
            for _ in range(15):
                await throttle.wait_turn()
                taken.append(time.monotonic())
        return taken

    taken = asyncio.run(run())
    assert most_in_a_second(taken) <= 20
    for first in (0, 15):
        assert taken[first + 9] - taken[first] < 0.25
        assert taken[first + 10] - taken[first] >= 0.5 * (1 + MARGIN) - 0.01


def test_who_has_a_lower_rate_lets_nobody_else_forget_his_turns(file):
    async def run() -> list[float]:
        slow, fast = Throttle(4, file), Throttle(40, file)
        taken: list[float] = []
        for turn in range(90):
            await (slow if turn == 30 else fast).wait_turn()
            taken.append(time.monotonic())
        return taken

    taken = asyncio.run(run())
    assert most_in_a_second(taken) <= 40


def test_a_turn_costs_nothing_to_speak_of(file):
    async def run() -> float:
        throttle = Throttle(1_000_000, file)
        begun = time.process_time()
        for _ in range(2_000):
            await throttle.wait_turn()
        return (time.process_time() - begun) / 2_000

    assert asyncio.run(run()) < 0.000_5


def test_a_turn_of_before_a_restart_of_the_machine_holds_nobody_up(file):
    file.parent.mkdir()
    file.write_bytes(struct.pack("<d", time.monotonic() + 100_000))
    asyncio.run(asyncio.wait_for(Throttle(1, file).wait_turn(), 0.5))
    (kept,) = struct.unpack("<d", file.read_bytes()[:8])
    assert kept <= time.monotonic()


def test_who_gives_up_leaves_the_turn_to_others(file):
    async def run() -> None:
        throttle = Throttle(2, file)
        await throttle.wait_turn()
        impatient = [asyncio.create_task(throttle.wait_turn()) for _ in range(20)]
        await asyncio.sleep(0)
        for each in impatient:
            each.cancel()
        await asyncio.wait_for(throttle.wait_turn(), 2)

    asyncio.run(run())


def test_a_stopped_process_that_holds_the_lock_holds_nobody_up_for_long(file, monkeypatch):
    monkeypatch.setattr(throttles, "FROZEN", 0.2)
    file.parent.mkdir()
    with file.open("wb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        begun = time.monotonic()
        asyncio.run(asyncio.wait_for(Throttle(100, file).wait_turn(), 5))
        assert time.monotonic() - begun >= 0.2
        assert os.fstat(held.fileno()).st_ino != file.stat().st_ino


def test_a_file_that_cannot_be_written_is_told_and_nothing_is_sent(tmp_path):
    async def run() -> FakeNode:
        async with FakeNode() as fake:
            async with Node(fake.url, throttle=Throttle(1, tmp_path)) as node:
                with pytest.raises(SolanaError, match="SOLANA_RPC_MAX_PER_SECOND cannot be kept"):
                    await node.genesis_hash()
            return fake

    assert asyncio.run(run()).heard == []


def test_the_file_is_not_for_everybody(file):
    asyncio.run(Throttle(1, file).wait_turn())
    assert not file.stat().st_mode & stat.S_IRWXO


def test_a_throttle_needs_a_rate(file):
    with pytest.raises(ValueError, match="above zero"):
        Throttle(0, file)
