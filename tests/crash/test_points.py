"""Every point of the table: really killed there, started again, and all invariants hold."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import pytest
from django.db import connection

from chaos.audit import Books, audit
from chaos.chain import Chain
from minting.engine.states import LIVE_TRANSACTIONS
from minting.models import BatchSource, MintBatch, MintResult, MintSlice, MintTransaction
from minting.service.prepare import request_batch
from minting.service.recover import recover
from minting.service.session import open_session
from readings.models import MeterReading
from tests.crash.points import ELSEWHERE, POINTS, Deed, Point, When
from tests.crash.worker import BROKEN
from tests.factories.readings import MeterReadingFactory, household, solar_farm
from tests.minting.conftest import MintingChain, drain, minting_chain

__all__ = ["drain", "minting_chain"]

pytestmark = pytest.mark.django_db(transaction=True)

PATIENCE = 60.0
"""Seconds for a worker to get to its point, and for the system to come to rest."""
HERE = [point for point in POINTS if not point.where.startswith(ELSEWHERE)]


@dataclass
class Scene:
    """Two owners, three readings, a chain, and workers that go through a point."""

    chain: MintingChain
    drain: Callable[[], None]
    environment: dict[str, str]
    readings: list[MeterReading]
    paid_before: int = 0
    """Base units."""

    def queue(self) -> MintBatch:
        ids = [reading.id for reading in self.readings]
        return request_batch(ids, source=BatchSource.CLI, strict=True, nudge=False)

    def mint_earlier(self) -> None:
        """A landing before the others' blockhash: where the second witness of a death may end."""
        waiting, self.readings = self.readings, [MeterReadingFactory()]
        self.queue()
        self.drain()
        self.chain.net.wait_slots(5)
        self.readings = waiting
        self.paid_before = self.chain.supply()

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

    def check(self) -> None:
        """I1 to I9, and that these readings are minted."""
        books = Books(
            Chain(self.chain.net.url),
            str(self.chain.mint),
            str(self.chain.authority.pubkey()),
            Path(self.chain.settings.MINT_JOURNAL_DIR),
        )
        assert audit(books) == []
        paid = sum(int(each.kwh_amount * 10**9) for each in self.readings)
        assert self.chain.supply() - self.paid_before == paid
        assert not MeterReading.objects.exclude(status="minted").exists()
        assert set(MintBatch.objects.values_list("status", flat=True)) == {"succeeded"}


@pytest.fixture
def scene(minting_chain, drain, child_environment) -> Scene:
    at_home, at_farm = household(), solar_farm()
    settings = minting_chain.settings
    return Scene(
        chain=minting_chain,
        drain=drain,
        environment={
            **child_environment,
            "SOLANA_RPC_URL": minting_chain.net.url,
            "MINT_AUTHORITY_KEYPAIR": str(minting_chain.keypair_file),
            "ENERGY_TOKEN_MINT": str(minting_chain.mint),
            "MINT_JOURNAL_DIR": str(settings.MINT_JOURNAL_DIR),
        },
        readings=[
            at_home.reading(kwh_amount=Decimal("0.5")),
            at_home.reading(kwh_amount=Decimal("0.25")),
            at_farm.reading(kwh_amount=Decimal("12.125")),
        ],
    )


def points(*numbers: int, deed: Deed = Deed.KILL) -> pytest.MarkDecorator:
    chosen = [point for point in HERE if point.number in numbers and point.deed is deed]
    return pytest.mark.parametrize("point", chosen, ids=lambda point: point.id)


@points(1, 2, 3, 4, 5, 6, 8, 9, 18)
def test_killed_on_the_way_and_started_again(scene, point):
    scene.queue()

    scene.kill_at(point)
    scene.start_again()

    scene.check()


@points(4, 9, deed=Deed.LOSE)
def test_i2_a_commit_whose_answer_is_lost_is_read_back(scene, point):
    """The process lives, and does not know whether its commit happened."""
    scene.queue()

    ended = scene.run(point, "look")

    knows = point.number == 4 and point.when is When.COMMITTED
    assert ended == (0 if knows else BROKEN)
    scene.start_again()
    scene.check()
    assert MintTransaction.objects.count() == 2  # one a wallet; nothing was signed twice


@points(7)
def test_killed_when_it_saw_the_landing_processed(scene, point):
    scene.queue()
    worker = scene.start(point, "look")
    scene.chain.net.pause()
    try:
        until(lambda: MintTransaction.objects.filter(status="sent").count() == 2)
        scene.chain.net.advance()

        assert scene.finish(worker) == -signal.SIGKILL
    finally:
        scene.chain.net.resume()

    assert not MintResult.objects.filter(success=True).exists()
    scene.start_again()
    scene.check()


@points(10)
def test_killed_while_it_notes_finality(scene, point):
    scene.queue()
    scene.drain()
    scene.chain.net.wait_slots(40)

    scene.kill_at(point, "sweep")
    scene.start_again()

    scene.check()


@points(11)
def test_killed_while_it_notes_that_a_fork_took_it(scene, point):
    scene.queue()
    scene.drain()
    net = scene.chain.net
    net.pause()
    signatures = set(MintTransaction.objects.values_list("signature", flat=True))
    lost: set[str] = set()
    # No deeper than needed: the blocks of their blockhashes stay.
    for depth in range(1, 31):
        lost |= set(net.fork(depth))
        if signatures <= lost:
            break
    net.resume()
    net.wait_slots(3)

    assert signatures <= lost
    scene.kill_at(point, "sweep")
    scene.start_again()

    scene.check()


@points(12, 13)
def test_killed_while_a_landed_error_is_taken_apart(scene, point):
    """The farm's account is frozen between its signature and its landing, and thawed later."""
    scene.queue()
    scene.kill_journalled()
    wallet = scene.readings[-1].owner.wallets.get().address
    net = scene.chain.net
    net.pause()  # the blockhash must live until the worker sends
    try:
        scene.chain.freeze(wallet)
        worker = scene.start(point, "look")
    finally:
        net.resume()

    assert scene.finish(worker) == -signal.SIGKILL
    scene.chain.thaw(wallet)
    scene.start_again()

    scene.check()
    assert MintTransaction.objects.filter(status="failed").count() == 1


@points(14, 15)
def test_killed_while_death_is_proven(scene, point):
    scene.mint_earlier()
    scene.queue()
    scene.kill_journalled()
    scene.outlive()

    scene.kill_at(point, "sweep")
    scene.start_again()

    scene.check()
    dead = MintTransaction.objects.filter(status="expired")
    assert dead.count() == 2


@points(16, deed=Deed.STOP)
def test_woken_after_its_readings_were_given_away(scene, point):
    scene.queue()
    worker = scene.start(point, "look")
    wait_stopped(worker)

    scene.start_again()
    os.kill(worker.pid, signal.SIGCONT)

    assert scene.finish(worker) == 0
    scene.start_again()
    scene.check()
    assert MintTransaction.objects.count() == 2


@points(17, deed=Deed.STOP)
def test_woken_after_its_transactions_were_proven_dead(scene, point):
    scene.mint_earlier()
    scene.queue()
    worker = scene.start(point, "look")
    wait_stopped(worker)
    scene.outlive()

    scene.start_again()
    os.kill(worker.pid, signal.SIGCONT)

    assert scene.finish(worker) == 0
    scene.chain.net.wait_slots(40)  # long enough for what it sent to land, if it could
    scene.start_again()
    scene.check()
    assert MintTransaction.objects.filter(status="expired").count() == 2


def wait_stopped(worker: subprocess.Popen[str]) -> None:
    ended = os.waitid(os.P_PID, worker.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
    assert ended is not None
    assert ended.si_code == os.CLD_STOPPED


def until(done: Callable[[], bool]) -> None:
    give_up = time.monotonic() + PATIENCE
    while not done():
        assert time.monotonic() < give_up
        time.sleep(0.02)
    connection.close()
