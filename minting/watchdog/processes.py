"""What the kernel does for us: who ends with whom, and who is gone."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
"""Both of linux/prctl.h."""

POLL = 0.05
"""Seconds between two looks at processes that should be ending."""

PARENT_POLL = 1.0
"""Seconds between two looks at the parent where the kernel does not tell of its end."""

AFTER_KILL = 5.0
"""Seconds that the kernel may take to clear away what was killed."""

ADOPTS = sys.platform == "linux"
"""Whether orphans become ours (``adopt_orphans``)."""

_HELD = (signal.SIGTERM,)


def adopt_orphans() -> None:
    """Where the system can, whatever our children leave behind becomes our child."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)


def end_with_parent(parent: int, signum: signal.Signals) -> None:
    """Has this process get ``signum`` when its parent ends, however that ends."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signum)
    else:
        threading.Thread(target=_outlive, args=(parent, signum), daemon=True).start()
    if os.getppid() != parent:  # it ended before we asked
        os.kill(os.getpid(), signum)


def _outlive(parent: int, signum: signal.Signals) -> None:
    while os.getppid() == parent:
        time.sleep(PARENT_POLL)
    os.kill(os.getpid(), signum)


@contextmanager
def terms_held() -> Iterator[None]:
    """SIGTERM waits while we fork: a child has its parent's handlers until it has its own."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _HELD)
    try:
        yield
    finally:
        take_terms()


def take_terms() -> None:
    """A child that has its own handlers lets what waited come in."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _HELD)


def is_gone(pid: int) -> bool:
    """Whether what was our child, or left to us by one, has ended; takes its status."""
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    except ChildProcessError:
        # Where orphans are ours, whoever has this id now is a stranger.
        return ADOPTS or not _is_there(pid)


def _is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def send(pids: Collection[int], signum: signal.Signals) -> None:
    """Signals those that are there."""
    for pid in pids:
        if not is_gone(pid):
            with suppress(ProcessLookupError):  # not our child, and gone since
                os.kill(pid, signum)


def wait_until_gone(pids: Collection[int], seconds: float) -> set[int]:
    """Waits for their end; returns those that are still there."""
    give_up = time.monotonic() + seconds
    left = {pid for pid in pids if not is_gone(pid)}
    while left and time.monotonic() < give_up:
        time.sleep(POLL)
        left = {pid for pid in left if not is_gone(pid)}
    return left


def end(pids: Collection[int], seconds: float) -> set[int]:
    """Waits for their end and kills what is left; returns what even then is there."""
    left = wait_until_gone(pids, seconds)
    send(left, signal.SIGKILL)
    return wait_until_gone(left, AFTER_KILL)
