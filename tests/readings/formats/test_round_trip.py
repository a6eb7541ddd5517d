"""What is written in any format is read as it was meant."""

from __future__ import annotations

import io
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from readings.errors import FileRefused
from readings.formats import Format, Options, detect, read
from tests.readings.formats import files
from tests.readings.formats.files import Told, told_by

MINUTES = st.sampled_from([1, 5, 15, 30, 60])
KWH = st.decimals(0, 1000, places=6)
SERIALS = st.text(
    st.characters(codec="utf-8", categories=("L", "N", "P", "S", "Zs")), min_size=1, max_size=20
).map(str.strip)


@st.composite
def readings(draw, serials=SERIALS, kwh=KWH, most=5):
    minutes = draw(MINUTES)
    meter = draw(serials.filter(bool))
    start = datetime(2001, 1, 1, tzinfo=UTC) + timedelta(minutes=draw(st.integers(0, 15_000_000)))
    step = timedelta(minutes=minutes)
    amounts = draw(st.lists(kwh, min_size=1, max_size=most))
    return [
        Told(meter, start + at * step, start + (at + 1) * step, amount)
        for at, amount in enumerate(amounts)
    ]


def parsed(content: bytes, expected: Format, **options):
    file = io.BytesIO(content)
    assert detect(file) is expected
    return told_by(read(file, Options(**options)))


@given(
    readings(),
    st.sampled_from([",", ";", "\t", "|"]),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"]),
    st.sampled_from(["\n", "\r\n", "\r"]),
)
def test_csv(told, separator, encoding, end):
    content = files.csv_file(told, separator=separator, encoding=encoding, end=end)
    assert parsed(content, Format.CSV) == told


@given(readings())
def test_csv_with_decimal_comma_once_that_is_said(told):
    content = files.csv_file(told, separator=";", comma=True)
    assert parsed(content, Format.CSV, decimal_comma=True) == told


def not_utf8(content: bytes) -> bool:
    """Whether nothing but the code page explains it: "Ä€" there is "Ā" in UTF-8."""
    try:
        content.decode()
    except UnicodeDecodeError:
        return True
    return content.isascii()


@given(readings(serials=st.text("äöüßéÄ€ÑabcXYZ019- ", min_size=1).map(str.strip)))
def test_western_characters(told):
    content = files.csv_file(told, encoding="cp1252")
    assume(not_utf8(content))
    assert parsed(content, Format.CSV) == told


@given(readings())
def test_json_lines_of_every_generation(told):
    assert parsed(files.json_file(told), Format.JSONL) == told


@given(
    st.dictionaries(
        st.text("ABCXYZ0123456789", min_size=1, max_size=12),
        st.tuples(st.sampled_from([15, 30, 60]), st.sampled_from(["WH", "kWh", "MWH"]), KWH),
        min_size=1,
        max_size=3,
    ),
    st.integers(1, 3),
)
@settings(max_examples=30)
def test_nem12_with_several_meters(meters, days):
    exponents = {"WH": -3, "kWh": 0, "MWH": 3}
    content = files.nem12_file(
        {
            meter: (minutes, unit, [[value] * (1440 // minutes)] * days)
            for meter, (minutes, unit, value) in meters.items()
        }
    )
    expected = [
        Told(
            meter,
            files.MIDNIGHT + timedelta(minutes=minutes * at),
            files.MIDNIGHT + timedelta(minutes=minutes * (at + 1)),
            value.scaleb(exponents[unit]),
        )
        for meter, (minutes, unit, value) in meters.items()
        for at in range(1440 // minutes * days)
    ]
    assert parsed(content, Format.NEM12) == expected


@given(readings(serials=st.just("the named one")), st.sampled_from([-3, -6, 0, 3]), st.booleans())
def test_green_button(told, multiplier, type_last):
    unit = Decimal(10) ** (multiplier - 3)
    whole = [Told(each.meter, each.start, each.end, each.kwh // unit * unit) for each in told]
    content = files.green_button_file(whole, multiplier=multiplier, type_last=type_last)
    assert parsed(content, Format.GREEN_BUTTON, meter="the named one") == whole


@given(readings(serials=st.text("ABCXYZ019-", min_size=1)))
@settings(max_examples=25)
def test_xlsx(told):
    assert parsed(files.xlsx_of(told), Format.XLSX) == told


PARSED = {each: Options(format=each, meter="M", interval_seconds=900) for each in Format}


@pytest.mark.parametrize("kind", Format)
@given(data=st.data())
def test_any_bytes_are_refused_or_read_but_never_a_crash(kind, data):
    told = [Told("M-1", files.MIDNIGHT, files.MIDNIGHT + timedelta(minutes=15), Decimal("0.25"))]
    good = {
        Format.CSV: files.csv_file(told),
        Format.XLSX: XLSX,
        Format.JSONL: files.json_file(told),
        Format.NEM12: files.nem12_file({"M-1": (60, "kWh", [[Decimal("0.25")] * 24])}),
        Format.GREEN_BUTTON: files.green_button_file(told),
    }[kind]
    content = data.draw(st.one_of(st.binary(max_size=300), _damaged(good)))
    with suppress(FileRefused):
        for row in read(io.BytesIO(content), PARSED[kind]):
            assert row.line >= 1


XLSX = files.xlsx_of(
    [Told("M-1", files.MIDNIGHT, files.MIDNIGHT + timedelta(minutes=15), Decimal("0.25"))]
)


@st.composite
def _damaged(draw, good: bytes):
    """A good file with some bytes put in place of others."""
    content = bytearray(good)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(content)))
        content[at : at + draw(st.integers(0, 30))] = draw(st.binary(max_size=10))
    return bytes(content)
