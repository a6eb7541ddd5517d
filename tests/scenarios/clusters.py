"""A real ``manage.py qcluster``, and who is who in it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from minting.models import MintSlice
from tests.gridtoken.proc import is_alive, proc

T = TypeVar("T")

PATIENCE = 90.0
"""Seconds within which work goes on after any single kill."""


def until(done: Callable[[], T], told: Callable[[], str] = str, seconds: float = PATIENCE) -> T:
    """Waits until ``done`` answers something true, and returns it."""
    give_up = time.monotonic() + seconds
    while not (answer := done()):
        assert time.monotonic() < give_up, told()
        time.sleep(0.05)
    return answer


class QueueCluster:
    """Its processes share a session, so that none can hide from the test."""

    def __init__(self, environment: dict[str, str], log: Path) -> None:
        self.log = log
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "manage.py", "qcluster"],
                env=environment,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self.pid = self.process.pid

    def words(self) -> str:
        """What it logged."""
        return self.log.read_text(errors="replace")

    def processes(self) -> set[int]:
        """Everything of it that lives."""
        found = set()
        for path in Path("/proc").glob("[0-9]*"):
            fields = proc(path / "stat").rpartition(b")")[2].split()
            if fields and fields[0] != b"Z" and int(fields[3]) == self.pid:
                found.add(int(path.name))
        return found

    def parent_of(self, pid: int) -> int:
        """Zero for who is gone."""
        fields = proc(Path(f"/proc/{pid}/stat")).rpartition(b")")[2].split()
        return int(fields[1]) if fields else 0

    def member(self, role: str) -> int:
        """The living process in this role; waits for it."""
        return until(lambda: self._living(role), self.words)

    def _living(self, role: str) -> int:
        if role == "parent":
            return self.pid
        if role == "only worker":
            ready = [pid for pid in self._told(r"ready for work at (\d+)") if is_alive(pid)]
            return ready[-1] if ready else 0
        if role in ("busy worker", "idle worker"):
            names = MintSlice.objects.filter(status="running").values_list("claimed_by", flat=True)
            busy = {int(name.rpartition(":")[2]) for name in names}
            workers = {pid for pid in self._told(r"ready for work at (\d+)") if is_alive(pid)}
            if not busy or len(workers) < 2:
                return 0
            found = workers & busy if role == "busy worker" else workers - busy
            return max(found, default=0)
        line = {
            "sentinel": r'"sentinel": (\d+)',
            "pusher": r"pushing tasks at (\d+)",
            "monitor": r"monitoring at (\d+)",
        }[role]
        told = [pid for pid in self._told(line) if is_alive(pid)]
        return told[-1] if told else 0

    def _told(self, pattern: str) -> list[int]:
        return [int(pid) for pid in re.findall(pattern, self.words())]

    def end(self) -> None:
        """Leaves nothing, whatever the test did."""
        for pid in {self.pid} | self.processes():
            if is_alive(pid):
                os.kill(pid, signal.SIGKILL)
        self.process.wait(10)
        until(lambda: not self.processes(), self.words, 15)
