"""The points around a proof of death: killed there, or woken after it."""

from __future__ import annotations

import os
import signal

import pytest

from tests.crash.points import Deed
from tests.crash.scene import points, signatures_a_reading, wait_stopped

pytestmark = pytest.mark.django_db(transaction=True)


@points(14, 15)
def test_killed_while_death_is_proven(scene, point):
    scene.queue()
    scene.kill_journalled()
    scene.outlive()

    scene.kill_at(point, "sweep")
    scene.start_again()

    scene.check()
    assert signatures_a_reading() == {2}


@points(17, deed=Deed.STOP)
def test_woken_after_its_transactions_were_proven_dead(scene, point):
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
    assert signatures_a_reading() == {2}
