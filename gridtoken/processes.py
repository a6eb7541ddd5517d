"""Child processes of ours: started with a log, watched, stopped by their own process id."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

PATIENCE = 30.0
"""Seconds between asking a child to stop and ending its whole group."""
_PR_SET_PDEATHSIG = 1
"""Of linux/prctl.h."""


class ProcessError(Exception):
    """A child failed; the message says which, and its last words."""


class Child:
    """A server of ours, in a process group of its own: a terminal's Ctrl-C reaches only us."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        environment: Mapping[str, str],
        folder: Path,
        log: Path,
    ) -> None:
        self.name = name
        self._log = log
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                command,
                env=environment,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                preexec_fn=end_with_parent,  # noqa: PLW1509 — we have no other thread here
            )

    @property
    def pid(self) -> int:
        """Of the child, and of its group."""
        return self._process.pid

    def raise_if_ended(self) -> None:
        """Says so if the child ended by itself.

        Raises:
            ProcessError: It did.
        """
        code = self._process.poll()
        if code is not None:
            raise ProcessError(
                f"{self.name} ended with code {code}: {last_line(self._log)} (see {self._log})"
            )

    def stop(self, seconds: float = PATIENCE) -> None:
        """Asks the main process alone, so that it can end its own in order; then ends the rest."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(seconds)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        end_group(self.pid)


def end_with_parent() -> None:
    """Where the system can, ``kill -9`` of us ends our children too, as politely as we would."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def end_group(group: int) -> None:
    """What a main process left behind has nothing to say any more."""
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        return  # nobody is left
    give_up = time.monotonic() + 5
    while time.monotonic() < give_up:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return
        time.sleep(0.02)


def run(command: Sequence[str], environment: Mapping[str, str], folder: Path, log: Path) -> str:
    """A command's stdout; its stderr goes to the log.

    Raises:
        ProcessError: It failed.
    """
    with log.open("ab") as errors:
        done = subprocess.run(
            command,
            env=environment,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            check=False,
        )
        errors.write(done.stdout)
    if done.returncode:
        words = " ".join(command[1:4])
        raise ProcessError(f"{words} failed: {last_line(log)} (see {log})")
    return done.stdout.decode()


def last_line(log: Path) -> str:
    """The last words of a log."""
    lines = log.read_text(errors="replace").strip().splitlines()
    return lines[-1] if lines else "no output"
