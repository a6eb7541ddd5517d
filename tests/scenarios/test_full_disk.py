"""Real disks, really full: what is played is in ``full_disk.py``, in an installation of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest


def may_mount(folder: Path) -> bool:
    """Whether a disk in memory can be mounted here: root in a container often may not."""
    if os.geteuid() != 0:
        return False
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", str(folder)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode == 0:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
    return mounted.returncode == 0


@pytest.mark.timeout(240)
def test_full_disks_stop_signing_and_lose_nothing(tmp_path: Path) -> None:
    if not may_mount(tmp_path):
        pytest.skip("a small disk of its own needs somebody who may mount: root")
    run = subprocess.run(
        [sys.executable, "-m", "tests.scenarios.full_disk"],
        capture_output=True,
        text=True,
        check=False,
        timeout=230,
    )

    assert run.returncode == 0, run.stdout + run.stderr
    assert re.findall(r"^(.*?)(?: \(.*\))?: minted", run.stdout, re.MULTILINE) == [
        "before",
        "journal's disk full",
        "database's disk full",
        "write-ahead log's disk full, PostgreSQL stopped",
    ]
