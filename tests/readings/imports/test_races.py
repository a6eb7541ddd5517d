"""Workers, doors and commands at once over the same meters."""

from __future__ import annotations

import io

import pytest

from readings import imports, intake
from readings.formats import Options
from readings.imports import Decision
from readings.models import ImportFile, MeterReading
from readings.models.import_file import ImportKind
from readings.rules import ReadingSource
from tests.readings.imports.test_readings_file import csv, lines
from tests.readings.test_races import at_once, telling

pytestmark = pytest.mark.django_db(transaction=True)

QUARTERS = 1_200
"""More than one chunk."""


def confirmed(told: bytes, by) -> ImportFile:
    imported = imports.bring(
        io.BytesIO(told), kind=ImportKind.READINGS, name="x.csv", options=Options()
    )
    imports.look(imported.id)
    assert imports.confirm(imported, Decision(), by=by)
    return imported


def test_workers_and_doors_at_once_take_each_reading_once(household, solar_farm, operator):
    """Two files with the meters in either order, two workers, and a door that sends both meters."""
    house, farm = lines("HOUSE-1", count=QUARTERS), lines("FARM-1", count=QUARTERS)
    files = [confirmed(csv(*house, *farm), operator), confirmed(csv(*farm, *house), operator)]
    meters = [household.meter, solar_farm.meter]

    def run(number: int) -> object:
        if number < 2:
            return imports.work()
        return intake.submit_many(
            [telling(meter, quarters_ago=ago) for ago in range(50) for meter in meters[::-1]],
            source=ReadingSource.API,
        )

    at_once(run, 3)
    while imports.work():
        pass

    assert MeterReading.objects.count() == 2 * QUARTERS
    for imported in files:
        imported.refresh_from_db()
        assert imported.status == "applied"
        assert imported.report["new"] + imported.report["duplicates"] == 2 * QUARTERS
    assert (
        sum(imported.report["new"] for imported in files)
        + MeterReading.objects.filter(source="api").count()
        == 2 * QUARTERS
    )
