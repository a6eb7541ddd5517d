"""Children of ours: watched, and stopped to the last."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gridtoken.env import BASE_DIR
from gridtoken.processes import Child, ProcessError, run
from tests.gridtoken.proc import is_alive

STUBBORN = """
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print(os.getpid(), flush=True)
if not os.fork(): print(os.getpid(), flush=True)
time.sleep(60)
"""


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log"


def python(log: Path, code: str) -> Child:
    return Child("child", [sys.executable, "-c", code], dict(os.environ), BASE_DIR, log)


def pids(log: Path, count: int) -> list[int]:
    give_up = time.monotonic() + 20
    while len(found := log.read_text().split()) < count:
        assert time.monotonic() < give_up
        time.sleep(0.02)
    return [int(pid) for pid in found]


def test_a_child_that_does_not_listen_is_ended_with_all_of_its_own(log):
    child = python(log, STUBBORN)
    both = pids(log, 2)
    child.raise_if_ended()
    child.stop(seconds=0.1)
    assert not any(is_alive(pid) for pid in both)


def test_a_child_that_ended_is_told_with_its_last_words(log):
    child = python(log, "print('oh'); raise SystemExit(3)")
    give_up = time.monotonic() + 20
    while is_alive(child.pid):
        assert time.monotonic() < give_up
    with pytest.raises(ProcessError, match="child ended with code 3: oh"):
        child.raise_if_ended()
    child.stop()  # nothing left to do


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells children of our end")
def test_kill_9_of_us_ends_our_children(tmp_path, log):
    code = f"""
import os, sys, time
from pathlib import Path
from gridtoken.processes import Child
sleeper = "import os, time; print(os.getpid(), flush=True); time.sleep(60)"
Child("c", [sys.executable, "-c", sleeper], dict(os.environ), Path("."), Path({str(log)!r}))
time.sleep(60)
"""
    parent = subprocess.Popen([sys.executable, "-c", code], cwd=BASE_DIR)
    log.touch()
    (child,) = pids(log, 1)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    give_up = time.monotonic() + 20
    while is_alive(child):
        assert time.monotonic() < give_up
        time.sleep(0.02)


def test_a_command_answers_on_stdout_and_talks_to_the_log(log):
    code = "import sys; print('answer'); print('talk', file=sys.stderr)"
    assert run([sys.executable, "-c", code], dict(os.environ), BASE_DIR, log) == "answer\n"
    assert log.read_text() == "talk\nanswer\n"


def test_a_command_that_fails_is_told_with_its_last_words(log):
    command = [sys.executable, "-c", "raise SystemExit('no mint')"]
    with pytest.raises(ProcessError, match="failed: no mint"):
        run(command, dict(os.environ), BASE_DIR, log)
