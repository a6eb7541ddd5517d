"""What docs/importing.md shows can be imported as it stands there."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest

from readings.candidate import Submission
from readings.formats import Exported, Format, Options, columns, detect, read, registry
from readings.formats.registry import Entry, read_registry

PAGE = (Path(__file__).parents[3] / "docs" / "importing.md").read_text()
EXAMPLES = re.findall(
    r"^```(csv|jsonl|nem12|xml|registry)\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE
)
SAID = Options(meter="HOUSE-1", interval_seconds=900, exported=Exported.SURPLUS)


@pytest.mark.parametrize(("kind", "text"), [each for each in EXAMPLES if each[0] != "registry"])
def test_examples_of_readings(kind, text):
    file = io.BytesIO(text.encode())
    assert detect(file) == {"xml": "green_button"}.get(kind, kind)
    rows = list(read(file, SAID))
    assert rows
    for row in rows:
        assert isinstance(row.reading, Submission), row
        assert row.reading.meter_serial == "HOUSE-1"


def test_the_example_of_a_registry():
    ((_, text),) = [each for each in EXAMPLES if each[0] == "registry"]
    entries = list(read_registry(io.BytesIO(text.encode()), Options()))
    assert len(entries) == 2
    assert all(isinstance(entry, Entry) for entry in entries)


def test_there_is_an_example_of_each_text_format():
    kinds = {"xml": "green_button"}
    assert {kinds.get(kind, kind) for kind, _ in EXAMPLES} == {*Format, "registry"} - {Format.XLSX}


def test_every_field_is_documented():
    named = set(re.findall(r"`([^`\n]+)`", PAGE))
    assert {*columns.FIELDS, columns.SKIP} <= named
    assert {names[0] for names in registry.NAMES.values()} <= named | {"e_mail"}
