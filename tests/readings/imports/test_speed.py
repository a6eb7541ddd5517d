"""How an import grows: with its file in time, not at all in memory."""

from __future__ import annotations

import gc
import io
import time
import tracemalloc
from datetime import timedelta
from itertools import pairwise

import pytest

from readings import imports
from readings.formats import Options
from readings.imports import content, registry_file, report
from readings.models import ImportFile
from readings.models.import_file import ImportKind
from tests.factories.readings import QUARTER, address, last_quarter

pytestmark = [pytest.mark.django_db, pytest.mark.speed]

FEW, MANY = 1_000, 4_000


def quarters(count: int) -> bytes:
    end = last_quarter()
    times = [(end - at * QUARTER).isoformat() for at in range(count + 1)]
    lines = [f"HOUSE-1,{start},{until},0.25" for until, start in pairwise(times)]
    return "\n".join(["meter,start,end,kwh", *lines]).encode()


def registry(count: int) -> bytes:
    header = "user_id,name,wallet_address,meter_serial,interval_seconds,held_from"
    lines = (f"o-{at},Owner,{address(f'o-{at}')},m-{at},900,2026-01-01" for at in range(count))
    return "\n".join([header, *lines]).encode()


def measured(
    count: int, *, memory: bool, kind: ImportKind = ImportKind.READINGS, new: str = "new"
) -> float:
    """Seconds of this process, or bytes at most, that looking at so many rows takes."""
    told = io.BytesIO({ImportKind.READINGS: quarters, ImportKind.REGISTRY: registry}[kind](count))
    imported = imports.bring(told, kind=kind, name="x", options=Options())
    if memory:
        tracemalloc.start()
    gc.collect()
    gc.freeze()  # what other tests of this process left is not walked at this one's expense
    began = time.process_time()
    imports.look(imported.id)
    took = time.process_time() - began
    gc.unfreeze()
    if memory:
        _, took = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert ImportFile.objects.get(id=imported.id).report[new] == count
    return took


def test_four_times_the_rows_take_four_times_the_time_and_the_same_memory(household, monkeypatch):
    # What is kept in memory before it goes to disk: megabytes, else as large as these files.
    for module, name in ((content, "PART"), (content, "IN_MEMORY"), (report, "IN_MEMORY")):
        monkeypatch.setattr(module, name, 64 * 1024)
    measured(FEW, memory=False)  # what is loaded once
    few, many = (min(measured(rows, memory=False) for _ in range(3)) for rows in (FEW, MANY))
    per_row = few / FEW
    assert many / MANY < 1.7 * per_row
    assert measured(MANY, memory=True) < 1.5 * measured(FEW, memory=True)
    # A year of quarter hours within ten seconds, were this process alone on its core.
    assert per_row * timedelta(days=365) / QUARTER < 10


def test_a_registry_of_any_length_takes_the_memory_of_a_part(monkeypatch):
    for module, name in ((content, "PART"), (content, "IN_MEMORY"), (report, "IN_MEMORY")):
        monkeypatch.setattr(module, name, 64 * 1024)
    monkeypatch.setattr(registry_file, "CHUNK", 100)

    def most(count: int) -> float:
        return measured(count, memory=True, kind=ImportKind.REGISTRY, new="meters")

    most(100)  # what is loaded once
    assert most(1_200) < 1.5 * most(300)
