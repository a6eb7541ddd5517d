"""``make`` says in one line what is missing, before it starts anything."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from gridtoken.env import BASE_DIR

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A fresh one: no .venv, and a PATH to put a strange Python into."""
    shutil.copy(BASE_DIR / "Makefile", tmp_path)
    (tmp_path / "requirements").mkdir()
    (tmp_path / "requirements" / "dev.txt").touch()
    return tmp_path


def make(checkout: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], "HOME": str(checkout)}
    return subprocess.run(
        ["make", *words],
        cwd=checkout,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def strange_python(checkout: Path, script: str) -> str:
    path = checkout / "strange"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return f"PYTHON={path}"


def test_help_lists_what_there_is(checkout):
    listed = [line.split()[1] for line in make(checkout).stdout.splitlines()]
    assert {"install", "test", "demo", "lint", "lock", "format", "clean"} <= set(listed)


def test_no_python(checkout):
    done = make(checkout, "install", "PYTHON=no-such-python")
    assert done.returncode
    assert done.stdout == "No no-such-python: install Python 3.11 or later, or set PYTHON\n"


def test_an_old_python(checkout):
    script = 'if [ "$1" = --version ]; then echo Python 3.9.2; else exit 1; fi'
    done = make(checkout, "install", strange_python(checkout, script))
    assert done.returncode
    assert done.stdout == "Python 3.9.2 is too old: install Python 3.11 or later, or set PYTHON\n"


def test_a_python_without_venv(checkout):
    script = 'case "$2" in *ensurepip*) exit 1;; esac'
    done = make(checkout, "install", strange_python(checkout, script))
    assert done.returncode
    assert done.stdout.endswith("cannot make a virtual environment: install python3-venv\n")


def test_a_taken_port_stops_the_demo_with_one_line(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = make(BASE_DIR, "demo", f"PORT={port}", f"DATA_DIR={tmp_path / 'data'}")
    assert done.returncode
    assert done.stdout == ""
    first = done.stderr.splitlines()[0]
    assert first == f"Port {port} is taken: set PORT to another one, as in `make demo PORT=8001`"
    assert not (tmp_path / "data").exists()
