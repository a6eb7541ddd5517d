"""What Linux tells of processes."""

from __future__ import annotations

from pathlib import Path


def proc(path: Path) -> bytes:
    """A file under ``/proc``; empty where its process ended meanwhile, or is not for us to see."""
    try:
        return path.read_bytes()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return b""


def is_alive(pid: int) -> bool:
    """Whether it runs; a zombie does not."""
    stat = proc(Path(f"/proc/{pid}/stat"))
    return bool(stat) and stat.rpartition(b")")[2].split()[0] != b"Z"
