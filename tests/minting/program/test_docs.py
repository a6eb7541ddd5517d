"""The worked example of docs/programs.md, command by command as it stands there."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


def example() -> str:
    page = (ROOT / "docs" / "programs.md").read_text()
    [block] = re.finditer(r"^```sh\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    return str(block[1])


@pytest.mark.skipif(not shutil.which("curl"), reason="curl asks for the example's lamports")
def test_the_worked_example_mints_and_reconciles(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = tmp_path / "bin" / "manage.py"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{ROOT}/manage.py" "$@"\n')
    command.chmod(0o755)
    script = example().replace("8899", str(port)).replace("mktemp -d", f"mktemp -d -p {tmp_path}")
    path = f"{command.parent}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    # A PostgreSQL of its own under DATA_DIR: a worker refuses the tests', which may forget.
    ours = {"DATABASE_URL", "DJANGO_SETTINGS_MODULE"}
    environment = {name: value for name, value in os.environ.items() if name not in ours}
    environment |= {"PATH": path, "ENV_FILE": ""}

    run = subprocess.run(
        ["bash", "-ec", f"trap 'kill $(jobs -p) 2>/dev/null; wait' EXIT\n{script}"],
        cwd=ROOT,
        env=environment,
        check=False,
        capture_output=True,
        text=True,
        timeout=165,
    )

    assert run.returncode == 0, run.stderr[-3_000:]
    assert "succeeded: 24 minted, 0 failed" in run.stdout
    assert re.search(r"network fee +20,000 lamports", run.stdout), run.stdout
    assert ", 0 differences" in run.stdout
