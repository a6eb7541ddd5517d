"""A short fire with a fixed seed; ``make chaos`` is the long one."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter

import pytest

from chaos.schedule import KILLS, PACE, RUSH, Kind, draw

SECONDS = 150


@pytest.mark.timeout(SECONDS + 90)
def test_two_clusters_under_fire_mint_every_reading_exactly_once():
    run = subprocess.run(
        [
            *(sys.executable, "-m", "chaos", "--readings", "200", "--kills", "6"),
            *("--seed", "7", "--every", "4", "--slot-ms", "50", "--seconds", str(SECONDS)),
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS + 80,
    )

    assert run.returncode == 0, run.stdout + run.stderr
    assert re.search(
        r"^6 kills, 200 readings, \d+ s: nothing lost, nothing doubled$", run.stdout, re.MULTILINE
    )
    assert re.search(
        r"^reconcile: \d+ transactions seen .* 0 differences$", run.stdout, re.MULTILINE
    )


def test_a_seed_repeats_the_fire():
    one, same, other = (draw(seed=seed, kills=50, every=5, clusters=2) for seed in (1, 1, 2))

    assert one == same
    assert one != other


def test_a_fire_has_as_many_kills_as_asked_for_and_one_of_everything():
    events = draw(seed=3, kills=10, every=5, clusters=2)
    kinds = Counter(event.kind for event in events)

    assert sum(kinds[kind] for kind in KILLS) == 10
    assert set(PACE) <= set(kinds)
    assert all(0 <= event.at <= 50 for event in events)
    assert [event.at for event in events] == sorted(event.at for event in events)
    rush = [event.faults.get("others_bid", 0) for event in events if event.kind is Kind.CONGESTION]
    assert rush == [plan.get("others_bid", 0) for plan in RUSH]
