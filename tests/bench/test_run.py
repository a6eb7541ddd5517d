"""The whole benchmark, as small as it gets: fifty readings on short slots."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SECONDS = 280
"""Far more than it takes, for machines that do other things besides."""

pytestmark = pytest.mark.timeout(SECONDS + 10)


@pytest.fixture(scope="module")
def told(tmp_path_factory) -> tuple[str, dict]:
    """What it says, and writes."""
    file: Path = tmp_path_factory.mktemp("bench") / "bench.json"
    only = [word for name in ("ways", "growth", "intake") for word in ("--only", name)]
    run = subprocess.run(
        [
            *(sys.executable, "-m", "bench", "--quick", "--slot-ms", "50", *only),
            *("--json", str(file)),
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
    )
    assert run.returncode == 0, run.stderr
    return run.stdout, json.loads(file.read_text())


def test_each_way_mints_and_is_measured(told):
    runs = [run for run in told[1]["runs"] if run["section"] == "ways"]

    assert [(run["way"], run["accounts"]) for run in runs] == [
        (way, accounts)
        for accounts in ("new", "existing")
        for way in ("one by one", "the listing", "ours")
    ]
    one_by_one, listing, ours = runs[3:]
    assert one_by_one["readings"] == 2
    assert listing["transactions"] == 50
    assert ours["transactions"] == 1
    assert ours["lamports_per_wallet"] == 100
    assert listing["lamports_per_wallet"] == one_by_one["lamports_per_wallet"] == 5_000
    assert ours["calls"]["sendTransaction"] >= 1
    assert listing["calls"]["getAccountInfo"] == 50
    assert all(run["seconds"] > 0 for run in runs)


def test_where_the_time_goes_is_known(told):
    ours = [run for run in told[1]["runs"] if run["way"] == "ours"]
    steps = {phase["name"] for phase in told[1]["phases"]["50 of 50"]}

    assert all(run["queries"] > 10 for run in ours)
    if sys.platform == "linux":  # elsewhere nothing is known of other processes
        assert all(run["peak_mb"] > 20 and run["cpu_seconds"] > 0 for run in ours)
    assert {"request", "drive", "· plan", "· journal", "· settle"} <= steps


def test_readings_come_in_by_the_thousand(told):
    rows = told[1]["intake"]

    assert len(rows) == 3
    assert all(row["readings_per_second"] > 0 and row["readings"] == 1_000 for row in rows)
    assert all(row["statements"] == row["few_statements"] for row in rows)


def test_people_get_tables(told):
    assert "### Three ways, node without a limit" in told[0]
    assert "### Growth (ours, through queue and workers)" in told[0]
    assert "| one by one | 50 of 50 | new | 2, extrapolated |" in told[0]
