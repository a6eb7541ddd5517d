"""The whole demo, from an empty folder, twice: it comes up, mints, stops, and goes on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from gridtoken import demo
from gridtoken.embedded import postgres
from gridtoken.env import BASE_DIR
from tests.gridtoken.proc import proc

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def data() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="gt-") as path:
        yield Path(path) / "data"


class Run:
    """One ``python -m gridtoken.demo``."""

    def __init__(self, data: Path) -> None:
        self.port = demo.free_port()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "gridtoken.demo"],
            cwd=BASE_DIR,
            env={**os.environ, "DATA_DIR": str(data), "PORT": str(self.port)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.said: list[str] = []

    def until_ready(self) -> str:
        assert self._process.stdout
        for line in self._process.stdout:
            self.said.append(line)
            if line.strip().startswith("Logs"):
                return "".join(self.said)
        raise AssertionError("".join(self.said))

    def stop(self, wanted: signal.Signals = signal.SIGTERM) -> tuple[int, str]:
        self._process.send_signal(wanted)
        said, _ = self._process.communicate(timeout=90)
        return self._process.returncode, said


def of(data: Path) -> list[str]:
    """The command lines of what still runs for this folder."""
    lines = {path: proc(path) for path in Path("/proc").glob("[0-9]*/environ")}
    ours = [path for path, text in lines.items() if f"DATA_DIR={data}\0".encode() in text]
    return [proc(path.with_name("cmdline")).decode() for path in ours]


def statuses(data: Path) -> dict[str, int]:
    with psycopg.connect(postgres.url(data / "postgres")) as connection:
        query = "SELECT status, count(*) FROM readings_meterreading GROUP BY status"
        return dict(connection.execute(query).fetchall())


def test_the_demo_comes_up_mints_stops_and_goes_on(data):
    first = Run(data)
    said = first.until_ready()
    state = json.loads((data / "demo.json").read_text())
    for secret in (state["admin_password"], state["operator_password"], state["api_token"]):
        assert secret in said
    assert state["mint"] in said
    with urllib.request.urlopen(f"http://127.0.0.1:{first.port}/admin/login/") as page:
        assert page.status == 200
    found = statuses(data)
    assert found["minted"] == demo.READINGS_MINTED
    code, said = first.stop(signal.SIGINT)
    assert (code, said.splitlines()[-1]) == (0, "Stopped")
    assert of(data) == []

    second = Run(data)
    said = second.until_ready()
    assert "readings …" not in said  # neither loaded nor minted again
    assert json.loads((data / "demo.json").read_text()) == state
    assert statuses(data) == found
    # A worker that ends by itself ends the demo, and is named.
    (worker,) = (
        int(path.parent.name)
        for path in Path("/proc").glob("[0-9]*/environ")
        if f"DATA_DIR={data}\0".encode() in proc(path)
        and b"qcluster" in proc(path.with_name("cmdline"))
        and proc(path.parent / "stat").split()[4] == path.parent.name.encode()  # leads its group
    )
    os.kill(worker, signal.SIGKILL)
    give_up = time.monotonic() + 60
    while of(data) and time.monotonic() < give_up:
        time.sleep(0.2)
    code, said = second.stop()
    assert code == 1
    assert "worker ended with code -9" in said
