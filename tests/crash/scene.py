"""A chain, readings, and workers of their own process that go through a point."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from chaos.audit import Books, audit
from minting.engine.states import LIVE_TRANSACTIONS
from minting.models import BatchSource, MintBatch, MintSlice, MintTransaction
from minting.service.chain.session import open_session
from minting.service.drive.recover import recover
from minting.service.requests.prepare import request_batch
from readings.models import MeterReading
from stage.chain import Chain
from tests.crash.points import ELSEWHERE, POINTS, Deed, Point
from tests.minting.conftest import MintingChain

CAP = 200_000
"""Lamports: what ``BLOCKCHAIN_MAX_PRIORITY_FEE`` is unless set."""

PATIENCE = 60.0
"""Seconds for a worker to get to its point, and for the system to come to rest."""


def points(*numbers: int, deed: Deed = Deed.KILL) -> pytest.MarkDecorator:
    """A test for each point with one of these numbers and this deed."""
    chosen = [
        point
        for point in POINTS
        if not point.where.startswith(ELSEWHERE) and point.number in numbers and point.deed is deed
    ]
    return pytest.mark.parametrize("point", chosen, ids=lambda point: point.id)


@dataclass
class Scene:
    """Two owners, three readings, a chain, and workers that go through a point."""

    chain: MintingChain
    drain: Callable[[], None]
    environment: dict[str, str]
    readings: list[MeterReading]

    def queue(self) -> MintBatch:
        ids = [reading.id for reading in self.readings]
        return request_batch(ids, source=BatchSource.CLI, strict=True, nudge=False)

    def start(self, point: Point, task: str) -> subprocess.Popen[str]:
        """A worker that is about to begin."""
        worker = subprocess.Popen(
            [sys.executable, "-m", "tests.crash.worker", str(POINTS.index(point)), task],
            env=self.environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert worker.stdout is not None
        assert worker.stdout.readline() == "ready\n"
        return worker

    def finish(self, worker: subprocess.Popen[str]) -> int:
        try:
            return worker.wait(PATIENCE)
        finally:
            worker.kill()
            worker.wait()
            assert worker.stdout is not None
            worker.stdout.close()

    def run(self, point: Point, task: str) -> int:
        """How the worker ended."""
        return self.finish(self.start(point, task))

    def kill_at(self, point: Point, task: str = "look") -> None:
        assert self.run(point, task) == -signal.SIGKILL, f"never came to {point.id}"

    def kill_journalled(self) -> MintTransaction:
        """Something that is signed, journalled and was never sent."""
        self.kill_at(next(point for point in POINTS if point.number == 5))
        self.end_leases()
        return MintTransaction.objects.latest("id")

    def end_leases(self) -> None:
        """As a minute of waiting would."""
        MintSlice.objects.filter(status="running").update(lease_until="2020-01-01T00:00Z")

    def outlive(self) -> None:
        """Lets every blockhash grow too old, and that be final."""
        self.chain.net.expire_blockhashes()
        self.chain.net.wait_slots(40)

    def start_again(self) -> None:
        """Recovery and workers until nothing is open and all is final."""
        give_up = time.monotonic() + PATIENCE
        while True:
            self.end_leases()
            with open_session() as session:
                recover(session)
            self.drain()
            live = MintTransaction.objects.filter(status__in=LIVE_TRANSACTIONS).exists()
            if not live and all(batch.is_final for batch in MintBatch.objects.all()):
                return
            assert time.monotonic() < give_up, "does not come to rest"
            self.chain.net.wait_slots(10)

    @property
    def books(self) -> Books:
        """What the auditor reads."""
        return Books(
            Chain(self.chain.net.url),
            str(self.chain.mint),
            str(self.chain.authority.pubkey()),
            Path(self.chain.settings.MINT_JOURNAL_DIR),
            CAP,
        )

    def check(self) -> None:
        """I1 to I9, and that these readings are minted."""
        assert audit(self.books) == []
        paid = sum(int(each.kwh_amount * 10**9) for each in self.readings)
        assert self.chain.supply() == paid
        assert not MeterReading.objects.exclude(status="minted").exists()
        assert set(MintBatch.objects.values_list("status", flat=True)) == {"succeeded"}


def signatures_a_reading() -> set[int]:
    """How many transactions were signed for each of the last batch's readings."""
    batch = MintBatch.objects.latest("id")
    return set(batch.results.values_list("attempts", flat=True))


def wait_stopped(worker: subprocess.Popen[str]) -> None:
    """Until it has paused itself."""
    ended = os.waitid(os.P_PID, worker.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
    assert ended is not None
    assert ended.si_code == os.CLD_STOPPED
