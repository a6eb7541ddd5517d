"""NEM12, Australia's format of interval data (AEMO, MDFF specification). Pure.

=== ==================================================================================
100 header: ``100,NEM12,…``; NEM13 is of cumulative registers
200 a channel: NMI, its suffix (``B1`` exports, ``E1`` imports), serial, unit, minutes
300 a day of the channel: its values, then how good they are
400 how good the intervals ``a`` to ``b`` of that day are, where that differs
500 manual readings and remarks: nothing of ours
900 the end; without it the file is cut off
=== ==================================================================================

Times are UTC+10 all year. Only export is read. Actual and final values (A, F) count; substituted,
estimated, variable and missing ones (S, E, V, N) come in unverified, and are held.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import BinaryIO

from readings.candidate import Submission
from readings.errors import FileRefused, InvalidReading
from readings.formats.shapes import Options, Row, Rows
from readings.formats.text import encoding_of, lines
from readings.formats.values import EXACT, number
from readings.rules import Verification

MARKET_TIME = timezone(timedelta(hours=10))
KWH_EXPONENTS = {"WH": -3, "KWH": 0, "MWH": 3}
GOOD = frozenset("AF")
MINUTES_A_DAY = 1440


@dataclass(frozen=True, slots=True)
class _Channel:
    meter: str
    suffix: str
    exponent: int
    minutes: int

    @property
    def intervals(self) -> int:
        return MINUTES_A_DAY // self.minutes


@dataclass(slots=True)
class _Day:
    line: int
    channel: _Channel
    start: datetime
    values: list[str]
    quality: str
    exceptions: dict[int, str] = field(default_factory=dict)
    """Number of an interval → its quality."""

    def rows(self) -> Rows:
        step = timedelta(minutes=self.channel.minutes)
        for index, text in enumerate(self.values):
            start = self.start + index * step
            good = self.exceptions.get(index, self.quality) in GOOD
            yield Row(self.line, self._reading(text, start, start + step, good=good))

    def _reading(
        self, text: str, start: datetime, end: datetime, *, good: bool
    ) -> Submission | InvalidReading:
        try:
            value = number(text, f"The value from {start:%H:%M} UTC")
        except InvalidReading as error:
            return error
        return Submission(
            meter_serial=self.channel.meter,
            kwh_amount=_kwh(value, self.channel.exponent),
            period_start=start,
            period_end=end,
            verification=Verification.VERIFIED if good else Verification.UNVERIFIED,
        )


def nem12_rows(file: BinaryIO, options: Options) -> Rows:
    """Readings of the export channels; ``line`` is the day's record.

    Raises:
        FileRefused: NEM13, cut off, or not NEM12.
    """
    reader = _Reader(options.meter)
    for line, record in _records(file):
        yield from reader.take(line, record)
    if not reader.is_complete:
        raise FileRefused("The file is cut off: NEM12 ends with a 900 record")
    if not reader.exports:
        raise FileRefused("There is no export channel (B1, B2, …) in this file")


def _records(file: BinaryIO) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(lines(file, encoding_of(file)), strict=True)
    while True:
        line = reader.line_num + 1
        try:
            record = next(reader, None)
        except csv.Error as error:
            raise FileRefused(f"not NEM12 ({error})", line=line) from None
        if record is None:
            return
        if record:
            yield line, [value.strip() for value in record]


class _Reader:
    """Holds one day at a time, since the records that qualify it come after it."""

    def __init__(self, meter: str) -> None:
        self._meter = meter
        self._began = False
        self._channel: _Channel | None = None
        self._day: _Day | None = None
        self._suffixes: dict[str, str] = {}
        self.is_complete = False
        self.exports = False

    def take(self, line: int, record: list[str]) -> Rows:
        """One record; what it completes comes out."""
        kind = record[0]
        if not self._began:
            _check_header(line, record)
            self._began = True
            return
        if self.is_complete:
            raise FileRefused("there is more after the end (900)", line=line)
        if kind == "400":
            self._qualify(line, record)
            return
        if self._day is not None:
            yield from self._day.rows()
            self._day = None
        if kind == "200":
            self._channel = self._open(line, record)
        elif kind == "300":
            yield from self._begin_day(line, record)
        elif kind == "900":
            self.is_complete = True
        elif kind != "500":
            raise FileRefused(f"{kind[:20]!r} is no NEM12 record", line=line)

    def _open(self, line: int, record: list[str]) -> _Channel | None:
        fields = [*record, *[""] * 10]
        nmi, suffix, serial, unit, minutes = (fields[at] for at in (1, 4, 6, 7, 8))
        if not suffix.upper().startswith("B"):
            return None
        exponent = KWH_EXPONENTS.get(unit.upper())
        if exponent is None:
            raise FileRefused(f"{unit[:20]!r} is no unit of energy (Wh, kWh, MWh)", line=line)
        if not re.fullmatch("[0-9]{1,4}", minutes) or int(minutes) not in range(1, 1441):
            raise FileRefused(f"an interval of {minutes[:20]!r} minutes", line=line)
        if MINUTES_A_DAY % int(minutes):
            raise FileRefused(f"{minutes} minutes do not divide a day", line=line)
        meter = self._meter or serial or nmi
        if not meter:
            raise FileRefused("neither NMI nor serial names the meter", line=line)
        self._one_channel(line, meter, nmi, suffix.upper())
        self.exports = True
        return _Channel(meter, suffix.upper(), exponent, int(minutes))

    def _one_channel(self, line: int, meter: str, nmi: str, suffix: str) -> None:
        """Two export channels of one meter would be two values of one period."""
        mine = f"{nmi} {suffix}"
        if self._suffixes.setdefault(meter, mine) != mine:
            raise FileRefused(
                f"meter {meter[:100]} has two export channels ({self._suffixes[meter]}, {mine}): "
                "bring each as a file with the meter that it belongs to",
                line=line,
            )

    def _begin_day(self, line: int, record: list[str]) -> Rows:
        channel = self._channel
        if channel is None:
            return
        count = channel.intervals
        values, rest = record[2 : 2 + count], record[2 + count :]
        quality = rest[0][:1].upper() if rest else ""
        if len(values) < count or len(rest) > 5 or not quality.isalpha():
            yield Row(
                line, InvalidReading(f"A day of {count} values and their quality is expected")
            )
            return
        if quality not in "AFSEVN":
            yield Row(line, InvalidReading(f"{rest[0][:20]!r} is no quality (A, F, S, E, V, N)"))
            return
        start = _midnight(record[1])
        if start is None:
            yield Row(line, InvalidReading("The day is not YYYYMMDD"))
            return
        self._day = _Day(line, channel, start, values, quality)

    def _qualify(self, line: int, record: list[str]) -> None:
        if self._day is None:
            return  # of an import channel, or of a day that was told as wrong
        fields = [*record, *[""] * 4]
        first, last, quality = fields[1], fields[2], fields[3][:1].upper()
        whole = first.isascii() and first.isdigit() and last.isascii() and last.isdigit()
        count = self._day.channel.intervals
        if (
            not whole
            or len(first) > 4
            or len(last) > 4
            or not 1 <= int(first) <= int(last) <= count
        ):
            raise FileRefused(f"intervals are from 1 to {count}", line=line)
        if quality not in set("AFSEN"):
            raise FileRefused(f"{quality!r} is no quality (A, F, S, E, N)", line=line)
        self._day.exceptions |= dict.fromkeys(range(int(first) - 1, int(last)), quality)


def _check_header(line: int, record: list[str]) -> None:
    version = record[1].upper() if len(record) > 1 else ""
    if record[0] == "100" and version == "NEM13":
        raise FileRefused(
            "NEM13 tells the standing of counters, not the energy of intervals: bring NEM12"
        )
    if record[0] != "100" or version != "NEM12":
        raise FileRefused("NEM12 begins with 100,NEM12", line=line)


def _midnight(day: str) -> datetime | None:
    """When the day begins, UTC."""
    if not re.fullmatch("[0-9]{8}", day):
        return None  # of 2026112, strptime would make the second of November
    try:
        return datetime.strptime(day, "%Y%m%d").replace(tzinfo=MARKET_TIME).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _kwh(value: Decimal, exponent: int) -> Decimal:
    return EXACT.scaleb(value, exponent)
