"""Ends of processes: asked, forced, and with their parents'."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gridtoken.env import BASE_DIR
from minting.watchdog import processes
from minting.watchdog.board import FIRST_WORKER, PUSHER, Board
from tests.gridtoken.proc import is_alive

STUBBORN = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("ready", flush=True)
time.sleep(60)
"""

# The child tells its id, and asks to end with its parent, which then is killed.
FAMILY = """
import multiprocessing, os, signal, sys, time
from minting.watchdog import processes
processes.sys = type("System", (), {"platform": sys.argv[1]})
processes.PARENT_POLL = 0.05

def child(parent):
    processes.end_with_parent(parent, signal.SIGKILL)
    print(os.getpid(), flush=True)
    time.sleep(60)

multiprocessing.get_context("fork").Process(target=child, args=(os.getpid(),)).start()
time.sleep(60)
"""


def python(code: str, *arguments: str) -> tuple[subprocess.Popen, str]:
    process = subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        cwd=BASE_DIR,
        stdout=subprocess.PIPE,
        text=True,
    )
    return process, process.stdout.readline().strip()


def test_who_does_not_listen_is_killed():
    process, _ = python(STUBBORN)
    processes.send([process.pid], signal.SIGTERM)
    assert processes.wait_until_gone([process.pid], 0.3) == {process.pid}
    assert processes.end([process.pid], 0.1) == set()
    assert not is_alive(process.pid)
    assert processes.is_gone(process.pid)
    process.wait()
    process.stdout.close()


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks into /proc")
@pytest.mark.parametrize("platform", ["linux", "darwin"])
def test_who_ends_with_its_parent_does_so_on_any_system(platform):
    parent, child = python(FAMILY, platform)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    give_up = time.monotonic() + 10
    while is_alive(int(child)):
        assert time.monotonic() < give_up
        time.sleep(0.02)


def test_the_board_tells_who_is_there_and_who_fell():
    board = Board(workers=2)
    assert (board.members, board.workers, board.fallen, board.idleness) == ([], [], None, 0.0)
    board.place(PUSHER, 10)
    board.place(FIRST_WORKER + 1, 12)
    board.fell(12, -9)
    board.note(idle_since=time.monotonic() - 5)
    assert (board.members, board.workers, board.fallen) == ([10, 12], [12], (12, -9))
    assert 5 <= board.idleness < 6
    assert board.silence < 1
