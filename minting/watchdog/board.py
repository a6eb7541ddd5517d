"""What the sentinel lets the watchdog know: a page of shared memory without a lock.

A lock would outlive a process that is killed while it holds it.
"""

from __future__ import annotations

import time
from ctypes import c_double, c_int
from multiprocessing.sharedctypes import RawArray, RawValue

PUSHER, MONITOR = 0, 1
"""Their places; workers have those from ``FIRST_WORKER`` on."""
FIRST_WORKER = 2


class Board:
    """Written by the sentinel, read by the watchdog. Times are ``time.monotonic()``."""

    def __init__(self, workers: int) -> None:
        self._beat = RawValue(c_double, time.monotonic())
        self._idle_since = RawValue(c_double, 0.0)
        self._pids = RawArray(c_int, FIRST_WORKER + workers)
        self._fallen = RawValue(c_int, 0)
        self._exit_code = RawValue(c_int, 0)

    def note(self, *, idle_since: float | None) -> None:
        """The sentinel lives; since when it has seen an idle worker at every look."""
        self._idle_since.value = idle_since or 0.0
        self._beat.value = time.monotonic()

    def place(self, place: int, pid: int) -> None:
        """Who is in this place now."""
        self._pids[place] = pid

    def fell(self, pid: int, exit_code: int) -> None:
        """This worker died alone and unasked."""
        self._exit_code.value = exit_code
        self._fallen.value = pid

    @property
    def silence(self) -> float:
        """Seconds since the sentinel was last seen alive."""
        return time.monotonic() - self._beat.value

    @property
    def idleness(self) -> float:
        """Seconds for which the sentinel has seen an idle worker at every look."""
        since = self._idle_since.value
        return time.monotonic() - since if since else 0.0

    @property
    def members(self) -> list[int]:
        """Process ids of workers, pusher and monitor."""
        return [pid for pid in self._pids if pid]

    @property
    def workers(self) -> list[int]:
        """Process ids of the workers."""
        return [pid for pid in self._pids[FIRST_WORKER:] if pid]

    @property
    def fallen(self) -> tuple[int, int] | None:
        """Process id and exit code of the worker that died alone and unasked."""
        return (self._fallen.value, self._exit_code.value) if self._fallen.value else None
