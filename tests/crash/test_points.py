"""Every point up to the landing: really killed there, started again, and all invariants hold."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable

import pytest

from minting.models import MintResult, MintTransaction
from tests.crash.points import Deed, When
from tests.crash.scene import PATIENCE, points, signatures_a_reading, wait_stopped
from tests.crash.worker import BROKEN

pytestmark = pytest.mark.django_db(transaction=True)


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
    assert signatures_a_reading() == {1}


@points(7)
def test_killed_when_it_saw_the_landing_processed(scene, point):
    scene.queue()
    worker = scene.start(point, "look")
    scene.chain.net.pause()
    try:
        until(MintTransaction.objects.filter(status="sent").exists)
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
    assert MintTransaction.objects.filter(status="failed").exists()


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
    assert signatures_a_reading() == {1}


def until(done: Callable[[], bool]) -> None:
    give_up = time.monotonic() + PATIENCE
    while not done():
        assert time.monotonic() < give_up
        time.sleep(0.02)
