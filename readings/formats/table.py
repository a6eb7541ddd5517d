"""Rows of a table, of text or of a spreadsheet, to readings. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal

from readings.candidate import LONGEST_INTERVAL, Submission
from readings.errors import AnswerNeeded, FileRefused, InvalidReading
from readings.formats import values
from readings.formats.columns import places
from readings.formats.shapes import Exported, Options, Row, Rows

Cells = Sequence[object]
Lines = Iterator[tuple[int, Cells]]
"""Line and cells; the first that is not empty is the header."""

ZERO = Decimal(0)


def table_rows(lines: Lines, options: Options) -> Rows:
    """Readings of a table.

    Raises:
        FileRefused: The header makes no sense.
        AnswerNeeded: Something must be said first.
    """
    header = next((cells for _, cells in lines if not _empty(cells)), None)
    if header is None:
        raise FileRefused("The file is empty")
    reader = _Reader(places(header, options.mapping), len(header), options)
    for line, cells in lines:
        if not _empty(cells):
            yield Row(line, reader.read(cells))


def _later(start: datetime, interval: timedelta) -> datetime:
    try:
        return start + interval
    except OverflowError:
        raise InvalidReading("The period ends after the year 9999") from None


def _empty(cells: Cells) -> bool:
    return all(cell is None or (isinstance(cell, str) and not cell.strip()) for cell in cells)


class _Reader:
    def __init__(self, found: Mapping[str, int], width: int, options: Options) -> None:
        self._found = found
        self._width = width
        self._options = options
        self._clock = values.Clock(options.timezone, options.dates)
        self._check()

    def _check(self) -> None:
        has = self._found.keys()
        if "meter" not in has and not self._options.meter:
            raise AnswerNeeded("meter", "No column names the meter: say whose readings these are")
        told = has & {"exported_wh", "exported", "exported_kw"}
        if not told and self._options.exported is None:
            raise AnswerNeeded(
                "exported",
                "The file tells what was generated, not what was exported. Say whether the "
                "surplus over consumption counts (surplus) or all of it (generated)",
            )
        if (
            not told
            and self._options.exported is Exported.SURPLUS
            and not has & {"consumed", "consumed_kw"}
        ):
            raise FileRefused("Without what was consumed there is no telling the surplus")
        timed = "interval" in has or self._options.interval_seconds or {"start", "end"} <= has
        if has & {"exported_kw", "generated_kw", "consumed_kw"} and not timed:
            raise AnswerNeeded("interval", "Power (kW) is energy only over an interval: say which")
        if not timed and "start" in has and not has & {"end", "timestamp"}:
            raise AnswerNeeded("interval", "The file tells when an interval starts, not how long")

    def read(self, cells: Cells) -> Submission | InvalidReading:
        """One line."""
        try:
            return self._reading(cells)
        except InvalidReading as error:
            return error

    def _reading(self, cells: Cells) -> Submission:
        if len(cells) > self._width and not _empty(cells[self._width :]):
            raise InvalidReading("There are more values than columns")
        start, end, interval = self._period(cells)
        generated = self._energy(cells, "generated", interval)
        consumed = self._energy(cells, "consumed", interval)
        return Submission(
            meter_serial=self._text(cells, "meter") or self._options.meter,
            kwh_amount=self._exported(cells, generated, consumed, interval),
            period_start=start,
            period_end=end,
            interval_seconds=None if start is not None else self._interval(cells),
            energy_generated=generated,
            energy_consumed=consumed,
            external_id=self._text(cells, "external_id"),
            meter_signature=self._text(cells, "signature"),
        )

    def _period(self, cells: Cells) -> tuple[datetime | None, datetime, timedelta | None]:
        """Start, if both ends are told; end; and how long it is."""
        start = self._moment(cells, "start")
        end = self._moment(cells, "end") or self._moment(cells, "timestamp")
        seconds = self._interval(cells)
        interval = None if seconds is None else timedelta(seconds=seconds)
        if start is not None and end is not None:
            return start, end, end - start
        if start is not None and interval is not None:
            return start, _later(start, interval), interval
        if end is None:
            raise InvalidReading("The time is missing")
        if "start" in self._found:
            # As a lone end it would take no part in the overlap rule that the others obey.
            raise InvalidReading("start is missing, where the file tells periods by both ends")
        return None, end, interval

    def _interval(self, cells: Cells) -> int | None:
        value = self._value(cells, "interval")
        if value is None:
            return self._options.interval_seconds
        seconds = values.number(value, "interval", decimal_comma=self._options.decimal_comma)
        if seconds != seconds.to_integral_value() or not 1 <= seconds <= LONGEST_INTERVAL:
            raise InvalidReading(f"interval is no whole number of seconds, 1 to {LONGEST_INTERVAL}")
        return int(seconds)

    def _moment(self, cells: Cells, field: str) -> datetime | None:
        value = self._value(cells, field)
        return None if value is None else self._clock.moment(value, field)

    def _exported(
        self,
        cells: Cells,
        generated: Decimal | None,
        consumed: Decimal | None,
        interval: timedelta | None,
    ) -> Decimal:
        watt_hours = self._number(cells, "exported_wh")
        if watt_hours is not None:
            return values.EXACT.scaleb(watt_hours, -3)
        exported = self._energy(cells, "exported", interval)
        if exported is not None:
            return exported
        if self._options.exported is None or generated is None:
            raise InvalidReading("The exported energy is missing")
        if self._options.exported is Exported.GENERATED:
            return generated
        if consumed is None:
            raise InvalidReading("What was consumed is missing: there is no telling the surplus")
        return max(ZERO, values.EXACT.subtract(generated, consumed))

    def _energy(self, cells: Cells, field: str, interval: timedelta | None) -> Decimal | None:
        kilowatt_hours = self._number(cells, field)
        if kilowatt_hours is not None:
            return kilowatt_hours
        kilowatts = self._number(cells, f"{field}_kw")
        if kilowatts is None:
            return None
        if interval is None:
            raise InvalidReading(f"{field}_kw is no energy without an interval")
        return values.energy(kilowatts, interval)

    def _number(self, cells: Cells, field: str) -> Decimal | None:
        value = self._value(cells, field)
        if value is None:
            return None
        return values.number(value, field, decimal_comma=self._options.decimal_comma)

    def _text(self, cells: Cells, field: str) -> str:
        value = self._value(cells, field)
        if value is None:
            return ""
        if isinstance(value, float) and value.is_integer():
            value = int(value)  # a serial that a spreadsheet took for a number
        if isinstance(value, bool) or not isinstance(value, str | int):
            raise InvalidReading(f"{field} is not text")
        return str(value).strip()

    def _value(self, cells: Cells, field: str) -> object:
        """The cell; ``None`` where the column or the value is not there."""
        at = self._found.get(field)
        if at is None or at >= len(cells):
            return None
        value = cells[at]
        return None if isinstance(value, str) and not value.strip() else value
