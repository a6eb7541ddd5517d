"""Files that mean harm, or are not what they say: a sentence, little memory, little time."""

from __future__ import annotations

import io
import re
import tracemalloc
import zipfile
from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from readings import rules
from readings.errors import AnswerNeeded, FileRefused, InvalidReading
from readings.formats import Exported, Format, Options, detect, read, shapes
from tests.readings.formats import files
from tests.readings.formats.test_round_trip import XLSX

MEGABYTE = 1024 * 1024
GREEN = b'<?xml version="1.0"?><feed xmlns="http://www.w3.org/2005/Atom">'
HEADER = b"meter,timestamp,kwh\n"


class Endless(io.RawIOBase):
    """A file of so many bytes, which are made as they are read."""

    def __init__(self, begin: bytes, body: bytes, size: int) -> None:
        self._begin, self._body, self._size, self._at = begin, body, size, 0

    def readable(self):
        return True

    def seekable(self):
        return True

    def tell(self):
        return self._at

    def seek(self, offset, whence=0):
        self._at = offset if whence == 0 else self._size + offset
        return self._at

    def readinto(self, buffer):
        count = min(len(buffer), self._size - self._at)
        if count <= 0:
            return 0
        head = self._begin[self._at : self._at + count]
        rest = count - len(head)
        shift = max(0, self._at - len(self._begin)) % len(self._body)
        body = (self._body * (rest // len(self._body) + 2))[shift : shift + rest]
        buffer[:count] = head + body
        self._at += count
        return count


def refusal(content, *, kind=None, **options) -> str:
    file = io.BytesIO(content) if isinstance(content, bytes) else io.BufferedReader(content)
    with pytest.raises(FileRefused) as refused:
        for _ in read(file, Options(format=kind, **options)):
            pass
    return str(refused.value)


@pytest.mark.parametrize(
    ("kind", "begin", "body", "sentence"),
    [
        ("csv", HEADER, b"x", "longer than"),
        ("csv", HEADER + b'"', b"line\n", "not CSV"),
        ("jsonl", b"{", b'"a', "longer than"),
        ("nem12", b"100,NEM12,1,A,B\n300,", b"1,", "longer than"),
        ("green_button", GREEN + b"<a>", b"long text ", "a text of more than"),
        ("green_button", GREEN + b'<a b="', b"long name ", "a tag of more than"),
        ("green_button", GREEN, b"<deep>", "nested"),
        ("green_button", GREEN + b"<!--", b"remark ", "a tag of more than"),
    ],
)
def test_what_never_ends_is_refused_in_flat_memory(kind, begin, body, sentence):
    file = Endless(begin, body, 60 * MEGABYTE)
    tracemalloc.start()
    told = refusal(file, kind=Format(kind), meter="M", interval_seconds=900)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert sentence in told
    assert peak < 24 * MEGABYTE


@pytest.mark.parametrize(
    "document",
    [
        '<!DOCTYPE a [<!ENTITY b "c"><!ENTITY d "&b;&b;&b;">]><feed>&d;</feed>',
        '<!DOCTYPE a SYSTEM "file:///etc/passwd"><feed/>',
        '<!DOCTYPE a [<!ENTITY b SYSTEM "http://127.0.0.1/">]><feed>&b;</feed>',
    ],
)
def test_entities_and_document_types_are_refused(document):
    assert "entities" in refusal(document.encode())
    spoiled = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(XLSX)) as good, zipfile.ZipFile(spoiled, "w") as bad:
        for name in good.namelist():
            content = good.read(name)
            if name.endswith("sheet1.xml"):
                content = document.encode()
            bad.writestr(name, content)
    # Without entities a document type is harmless: the sheet is only empty.
    assert refusal(spoiled.getvalue()).startswith(
        ("The workbook", "The sheet", "The file is empty")
    )


def archive(entries: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as made:
        for name, content in entries.items():
            made.writestr(name, content)
    return out.getvalue()


def sheet(content: bytes) -> bytes:
    return archive({"xl/workbook.xml": b"<a/>", "xl/worksheets/sheet1.xml": content})


BOMB = archive({"xl/workbook.xml": b"", "xl/worksheets/sheet1.xml": bytes(64 * MEGABYTE)})


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (BOMB, "times its size"),
        (archive({f"xl/{n}": b"" for n in range(1_001)} | {"xl/workbook.xml": b""}), "entries"),
        (archive({"a.csv": b"meter,timestamp,kwh"}), "unpack it first"),
        (archive({"xl/workbook.xml": b"<a/>"}), "cannot be read"),
        (sheet(b"<sheetData><row><c><v>" + bytes(range(1, 60)) * 50_000), "without a row"),
        (sheet(b"<sheetData><row>" + b"<c/>" * MEGABYTE), "without a row"),
        (XLSX[:-30], "damaged"),
        (XLSX[: len(XLSX) // 2], "damaged"),
        (b"PK\x03\x04", "damaged"),
        (b"\xd0\xcf\x11\xe0 old", "save it as XLSX"),
        (b"%PDF-1.7", "a PDF"),
        (b"\x1f\x8b\x08", "gzip"),
        (b"", "empty"),
        (b"\n \r\n", "empty"),
        (HEADER + b"a,\0,1\n", "zeros"),
        (b"\xff\xfe\0\0m\0\0\0", "UTF-32"),
        (HEADER + b"\x81\x8d\n", "save it as UTF-8"),
        (b"<html><body>Log in</body></html>", "not Green Button"),
        (b"<feed", "not XML"),
        (b'<?xml version="1.0" encoding="klingon"?><feed/>', "encoding"),
        (b'{\n"meter": 1\n}', "one reading a line"),
        (b"meter,timestamp,kwh,kwh\n", "twice"),
        (b"meter;total_kwh;timestamp\n", "counter"),
        (b"meter,1-1:2.8.0,timestamp\n", "counter"),
        (b"meter,timestamp,temperature\n", "No column tells the exported energy"),
        (b"meter,kwh\n", "No column tells the time"),
        (b"a," * 300 + b"\n", "columns"),
        (b"100,NEM13,200506081149,U,N\n", "counters"),
        (b"100,NEM12,200506081149,U,N\n900\n", "no export channel"),
        (b"100,NEM12,200506081149,U,N\n200,N,B1,B1,B1,N1,S,KWH,30,\n", "cut off"),
        (b"100,NEM12,200506081149,U,N\n200,N,B1,B1,B1,N1,S,kVArh,30,\n900\n", "unit of energy"),
        (b"100,NEM12,200506081149,U,N\n200,N,B1,B1,B1,N1,S,KWH,7,\n900\n", "divide a day"),
        (b"100,NEM12,200506081149,U,N\n200,N,B1,B1,B1,N1,S,KWH,0,\n900\n", "minutes"),
        (b"100,NEM12,1,U,N\n200,N,B1,B1,B1,N1,S,KWH," + b"9" * 5_000 + b",\n900\n", "minutes"),
        (
            b"100,NEM12,1,U,N\n200,N,B1B2,1,B1,N1,S,KWH,30,\n200,N,B1B2,2,B2,N1,S,KWH,30,\n900\n",
            "two export channels",
        ),
        (b"100,NEM12,1,U,N\nhello\n900\n", "no NEM12 record"),
        (b"100,NEM12,1,U,N\n900\n900\n", "after the end"),
    ],
)
def test_refusals_say_what_to_do(content, sentence):
    assert sentence in refusal(content, meter="M")


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"flow": 1}, "no exported energy"),
        ({"behaviour": 3}, "standing of counters"),
    ],
)
def test_green_button_without_interval_exports(fields, sentence):
    told = [files.Told("M", files.MIDNIGHT, files.MIDNIGHT, Decimal(1))]
    assert sentence in refusal(files.green_button_file(told, **fields), meter="M")


@pytest.mark.parametrize(
    ("shown", "instead", "sentence"),
    [
        (r"(<powerOfTenMultiplier>)[^<]*", r"\g<1>1_0", "powerOfTenMultiplier"),
        (r"(<powerOfTenMultiplier>)[^<]*", "\\g<1>\u0663", "powerOfTenMultiplier"),
        (r"<IntervalReading>.*</IntervalReading>", "", "No IntervalBlock holds"),
        (r"(<link [^>]*/>\s*)+(<content>\s*<IntervalBlock.*?</content>)", r"\2", "whose readings"),
    ],
)
def test_green_button_that_would_be_read_wrong_or_not_at_all(shown, instead, sentence):
    told = [files.Told("M", files.MIDNIGHT, files.MIDNIGHT + timedelta(minutes=15), Decimal(1))]
    text = files.green_button_file(told).decode()
    spoiled = re.sub(shown, instead, text, flags=re.DOTALL)
    assert spoiled != text
    assert sentence in refusal(spoiled.encode(), meter="M")


@pytest.mark.parametrize(
    ("content", "options", "asked"),
    [
        (b"timestamp,kwh\n", {}, "meter"),
        (b"meter_id,timestamp,generation_kwh,consumption_kwh\n", {}, "exported"),
        (
            b"meter_id,timestamp,gen_kw,consumption_kw\n",
            {"exported": Exported.SURPLUS},
            "interval",
        ),
        (b"meter,start,kwh\n", {}, "interval"),
        (b"Zaehler,Zeit,Einspeisung\n", {}, "mapping"),
        (
            files.green_button_file([files.Told("M", files.MIDNIGHT, files.MIDNIGHT, Decimal(1))]),
            {},
            "meter",
        ),
    ],
)
def test_what_a_file_does_not_say_is_asked(content, options, asked):
    with pytest.raises(AnswerNeeded) as needed:
        list(read(io.BytesIO(content), Options(**options)))
    assert needed.value.option == asked


def test_a_file_of_too_many_readings(monkeypatch):
    monkeypatch.setattr("readings.formats.MAX_ROWS", 2)
    content = HEADER + b"m,2026-01-31T00:00,1\n" * 3
    assert "more than 2 readings" in refusal(content)


def test_sheets_that_lie_about_their_size_cost_nothing():
    sheet = (
        '<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main">'
        '<dimension ref="A1:XFD1048576"/><sheetData>'
        '<row r="1"><c r="A1" t="inlineStr"><is><t>meter</t></is></c></row>'
        '<row r="99999999999"><c r="XFD99999999999"><v>1</v></c></row>'
        "</sheetData></worksheet>"
    )
    lying = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(XLSX)) as good, zipfile.ZipFile(lying, "w") as bad:
        for name in good.namelist():
            bad.writestr(name, sheet if name.endswith("sheet1.xml") else good.read(name))
    assert refusal(lying.getvalue(), meter="M")


def only(content: bytes, **options):
    (row,) = read(io.BytesIO(content), Options(**options))
    return row.reading


@pytest.mark.parametrize(
    ("line", "options", "sentence"),
    [
        ("m,2026-01-31T00:00,0,5", {}, "more values than columns"),
        ('m,2026-01-31T00:00,"0,5"', {}, "say so (decimal comma)"),
        ("m,2026-01-31T00:00,0.5", {"decimal_comma": True}, "a point"),
        ("m,2026-01-31T00:00,NaN", {}, "not a number"),
        ("m,2026-01-31T00:00,1_000", {}, "not a number"),
        ("m,2026-01-31T00:00,", {}, "missing"),
        ("m,,1", {}, "time is missing"),
        ("m,2026-01-31,1", {}, "not a date and time"),
        ("m,31/01/2026 00:15,1", {}, "day or month comes first"),
        ("m,31/01/2026 00:15,1", {"dates": shapes.DateOrder.MONTH_FIRST}, "not a date"),
        ("m,2026-03-29T02:30,1", {"timezone": "Europe/Berlin"}, "skipped"),
        ("m,2026-10-25T02:30,1", {"timezone": "Europe/Berlin"}, "twice"),
    ],
)
def test_wrong_rows_say_what_is_wrong(line, options, sentence):
    reading = only(HEADER + line.encode(), **options)
    assert isinstance(reading, InvalidReading)
    assert sentence in str(reading)


PERIODS = b"meter,start,end,interval,kwh\n"
NEM12 = b"100,NEM12,1,U,N\n200,N,B1,1,B1,N1,S,KWH,1440,\n300,%s,1,A,,,,\n900\n"
LINE = b'{"meter_id": "m", "timestamp": "2026-01-31T00:15Z", %s}\n'


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (PERIODS + b"m,,2026-01-31T00:15,900,1", "start is missing"),
        (PERIODS + b"m,9999-12-31T23:59,,900,1", "after the year 9999"),
        (NEM12 % b"2026112", "YYYYMMDD"),
        (LINE % b'"kwh": 1, "kwh": 2', "a name twice"),
        (LINE % b'"kwh": 1e99999999999999999999', "not JSON"),
    ],
    ids=lambda value: None if isinstance(value, bytes) else value,
)
def test_what_another_reader_would_guess_at_is_told(content, sentence):
    reading = only(content)
    assert isinstance(reading, InvalidReading)
    assert sentence in str(reading)


@pytest.mark.parametrize(
    ("line", "options", "hour"),
    [
        ("m,2026-01-31T07:15,1", {"timezone": "Asia/Bangkok"}, "00:15"),
        ("m,31.01.2026 7:15,1", {"dates": shapes.DateOrder.DAY_FIRST}, "07:15"),
        ("m,01/31/2026 07:15,1", {"dates": shapes.DateOrder.MONTH_FIRST}, "07:15"),
        ("m,2026-01-31T07:15+07:00,1", {"timezone": "Europe/Berlin"}, "00:15"),
        ("m,2026-10-25T02:30+01:00,1", {"timezone": "Europe/Berlin"}, "01:30"),
    ],
)
def test_moments(line, options, hour):
    assert f"{only(HEADER + line.encode(), **options).period_end:%H:%M}" == hour


@pytest.mark.parametrize(
    ("options", "kwh"),
    [({"exported": Exported.SURPLUS}, "0.375"), ({"exported": Exported.GENERATED}, "0.5")],
)
def test_power_is_energy_over_an_interval(options, kwh):
    content = b"meter_id,timestamp,gen_kw,consumption_kw\nm,2026-01-31 00:15,2,0.5\n"
    assert only(content, interval_seconds=900, **options).kwh_amount == Decimal(kwh)


@pytest.mark.parametrize(
    ("column", "text"),
    [
        ("kwh", "0.30000000000000004"),
        ("export_wh", "300.00000050000001"),
        ("export_kw", "1.2000000020000001"),
    ],
)
def test_digits_of_a_float_are_rounded_once_from_the_whole(column, text):
    """As Python's programs write 0.1 + 0.2; the others would be a tie if they were cut before."""
    content = f"meter,start,end,{column}\nm,2026-01-31T00:00Z,2026-01-31T00:15Z,{text}\n".encode()
    rounded = rules.parse_kwh(only(content).kwh_amount)
    assert rounded == (Decimal("0.3") if column == "kwh" else Decimal("0.300000001"))


def test_power_over_a_part_of_a_second_is_not_lost():
    content = b"meter,start,end,export_kw\nm,2026-01-31T00:00:00Z,2026-01-31T00:00:07.5Z,4.8\n"
    assert only(content).kwh_amount == Decimal("0.01")


def test_nem12_qualities_by_day_and_by_interval():
    days = [[Decimal(1)] * 24] * 2
    content = files.nem12_file({"S": (60, "kWh", days)}).decode().splitlines()
    first, second = (
        at for at, line in enumerate(content) if line.startswith("300,") and ",1," in line
    )
    content[second] = content[second].replace(",A,", ",S14,")
    content[first] = content[first].replace(",A,", ",V,")
    content[first + 1 : first + 1] = ["400,1,20,A,,", "400,21,22,E52,,", "400,23,24,F14,,"]
    rows = list(read(io.BytesIO("\n".join(content).encode()), Options()))
    good = [row.reading.verification == "verified" for row in rows]
    assert good == [True] * 20 + [False] * 2 + [True] * 2 + [False] * 24


def test_green_button_estimates_are_held():
    step = timedelta(minutes=15)
    told = [
        files.Told("M", files.MIDNIGHT + n * step, files.MIDNIGHT + (n + 1) * step, Decimal(1))
        for n in range(3)
    ]
    content = files.green_button_file(told, qualities={1: 8, 2: 17})
    rows = list(read(io.BytesIO(content), Options(meter="M")))
    assert [row.reading.verification == "verified" for row in rows] == [True, False, True]


def test_a_column_can_be_said_to_tell():
    content = "Zähler;Zeit;Einspeisung;kwh\nm;2026-01-31T00:15;2;9\n".encode("cp1252")
    mapping = {"Zähler": "meter", "zeit": "timestamp", "EINSPEISUNG": "exported", "kwh": "skip"}
    assert only(content, mapping=mapping).kwh_amount == 2
    for wrong, sentence in (
        ({"nobody": "meter"}, "no column 'nobody'"),
        ({"Zeit": "moon"}, "nothing that a column tells"),
        ({"Zeit": "end", "kwh": "end"}, "Two columns"),
    ):
        assert sentence in refusal(content, mapping=wrong)


def test_sheets_by_name_and_numbers_as_people_see_them():
    shown = datetime(2026, 1, 31, 0, 14, 59, 999_999)  # noqa: DTZ001 - as a sheet keeps it
    row = ["0123", shown, 0.1]
    content = files.xlsx_file([["meter", "timestamp", "kwh"], row], more_sheets=["Notes"])
    reading = only(content, sheet="Readings")
    assert (reading.meter_serial, reading.kwh_amount) == ("0123", Decimal("0.1"))
    assert reading.period_end.isoformat() == "2026-01-31T00:15:00+00:00"
    assert "no sheet 'Else'" in refusal(content, sheet="Else")
    assert detect(io.BytesIO(content)) is Format.XLSX


def test_a_batch_of_the_simulator_in_one_line():
    body = b'{"meter_serial": "m", "timestamp": "2026-01-31T00:15:00Z", "kwh": 1}'
    content = b'{"readings": [' + body + b"," + body + b', 7]}\nnot json\n{"kwh": NaN}\n' + body
    rows = list(read(io.BytesIO(content), Options()))
    assert [row.line for row in rows] == [1, 1, 1, 2, 3, 4]
    assert [isinstance(row.reading, InvalidReading) for row in rows] == [
        False, False, True, True, True, False,
    ]  # fmt: skip
