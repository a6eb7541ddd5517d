from __future__ import annotations

import json

from bench.aims import judge
from bench.figures import Book, Idle, Latency, Phase, Taken, Timing
from bench.table import document, report
from tests.bench.test_figures import run


def book() -> Book:
    return Book(
        runs=[run(), run(way="one by one", readings=20, of=120, wallets=20, queries=None)],
        latencies=[Latency("ours", 50, (1.0, 2.0, 4.0))],
        phases={"120 of 60": [Phase("drive", 1.5, 0.25, 2)]},
        idle=[Idle("two workers", 62.0, {"getSlot": 3})],
        intake=[Taken("10 meters, 100 readings each", 1_000, (0.1, 0.2, 0.125), 9, 9)],
        timings=[Timing("GET readings", 12.3, 20.0, 4, 150.0, ok=True)],
    )


def test_every_row_has_as_many_cells_as_its_head():
    told = report(book(), judge(book()), {"cores": "2"})
    width = 0
    for line in told.splitlines():
        if line.startswith("| ---"):
            width = line.count("|")
        elif line.startswith("|") and width:
            assert line.count("|") == width, line
        else:
            width = 0


def test_a_sample_says_that_it_is_one():
    told = report(book(), [], {})

    assert "| ours | 120 of 60 | existing | all | 2.00 | 60.0 | 83.3 |" in told
    assert "| one by one | 120 of 60 | existing | 20, extrapolated |" in told


def test_every_section_that_was_measured_is_told():
    told = report(book(), judge(book()), {"cores": "2"})

    assert "| cores | 2 |" in told
    assert "| ours | 50 | 3 | 2.00 | 4.00 |  |" in told
    assert "| drive | 1.50 | 0.25 | 2 |" in told
    assert "| 10 meters, 100 readings each | 3 | 8,000 | 5,000 | 9 | 9 |" in told
    assert "| two workers | 62 | 3 getSlot |" in told
    assert "| GET readings | 12 | 20 | 4 | 150 | ok |" in told
    assert "Growth" not in told


def test_the_document_is_json_and_derives_the_same():
    told = json.loads(json.dumps(document(book(), judge(book()), {"cores": "2"})))

    assert told["machine"] == {"cores": "2"}
    assert told["runs"][0]["readings_per_second"] == 60
    assert told["runs"][0]["calls"] == {"sendTransaction": 2, "getBalance": 1}
    assert told["latencies"][0]["p95"] == 4.0
    assert told["aims"][0]["ok"] is True
