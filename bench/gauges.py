"""What processes used, read from the kernel (Linux; elsewhere nothing is known)."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

_PROC = Path("/proc")
_PPID, _TIMES = 1, slice(11, 15)
"""Of the fields after the name in /proc/PID/stat. The times: user and system, then the same of
children that ended and were waited for."""


def cpu_seconds(pids: Iterable[int]) -> float | None:
    """CPU time of processes and of those children of theirs that ended."""
    if not _PROC.is_dir():
        return None
    ticks = 0
    for pid in pids:
        ticks += sum(map(int, _stat(pid)[_TIMES]))
    return ticks / os.sysconf("SC_CLK_TCK")


def with_children(pid: int) -> list[int]:
    """A process and its children of now."""
    found = [pid]
    for entry in _PROC.glob("[0-9]*"):
        fields = _stat(int(entry.name))
        if fields and int(fields[_PPID]) == pid:
            found.append(int(entry.name))
    return found


def peak_mb(pids: Iterable[int]) -> float | None:
    """The most that any one of these has had in memory since ``forget_peaks``."""
    peaks = []
    for pid in pids:
        with suppress(OSError):
            told = (_PROC / str(pid) / "status").read_text()
            peaks.append(int(told.partition("VmHWM:")[2].split()[0]) / 1024)
    return max(peaks, default=None)


def forget_peaks(pids: Iterable[int]) -> None:
    """From here on the peak counts anew."""
    for pid in pids:
        with suppress(OSError):
            (_PROC / str(pid) / "clear_refs").write_text("5")


def _stat(pid: int) -> list[str]:
    """The fields after the name, which may hold anything; none for who is gone."""
    try:
        return (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []
