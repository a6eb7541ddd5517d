from __future__ import annotations

import os
import subprocess
import sys

import pytest

from bench import gauges

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the kernel tells it in /proc")

HUNGRY = "x = bytearray(60_000_000); print(flush=True); input()"


def test_a_process_and_its_children_are_found():
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        assert set(gauges.with_children(os.getpid())) >= {os.getpid(), child.pid}
        child.communicate(b"\n")
    assert child.pid not in gauges.with_children(os.getpid())


def test_cpu_time_grows_and_that_of_the_gone_is_nothing():
    before = gauges.cpu_seconds([os.getpid()])
    sum(range(5_000_000))
    after = gauges.cpu_seconds([os.getpid()])

    assert before is not None
    assert after is not None
    assert after > before > 0
    assert gauges.cpu_seconds([2**22 + 1]) == 0  # above the largest process id there is


def test_the_peak_is_that_of_the_largest_and_can_be_forgotten():
    with subprocess.Popen(
        [sys.executable, "-c", HUNGRY], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        child.stdout.readline()
        before = gauges.peak_mb([child.pid])
        gauges.forget_peaks([child.pid])
        after = gauges.peak_mb([child.pid])
        assert before is not None
        assert after is not None  # it holds what it has
        assert min(before, after) > 60
        child.communicate(b"\n")
    assert gauges.peak_mb([child.pid]) is None
