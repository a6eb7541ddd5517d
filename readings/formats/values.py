"""Numbers and moments as people and their spreadsheets write them. Pure.

>>> number("0.25")
Decimal('0.25')
>>> number("0,25", decimal_comma=True)
Decimal('0.25')
>>> number(0.1)
Decimal('0.1')
>>> Clock().moment("2026-01-31 12:15").isoformat()
'2026-01-31T12:15:00+00:00'
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta, tzinfo
from decimal import Context, Decimal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from readings.errors import FileRefused, InvalidReading
from readings.formats.shapes import MAX_CELL, DateOrder
from readings.rules import read_iso

_PLAIN = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?", re.ASCII)
_COMMA = re.compile(r"[+-]?[0-9]+,[0-9]+", re.ASCII)
_DATE = re.compile(
    r"(?P<one>[0-9]{1,2})[./-](?P<two>[0-9]{1,2})[./-](?P<year>[0-9]{4})"
    r"(?:[T ]+(?P<rest>[0-9]{1,2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,6})?)?))?",
    re.ASCII,
)

MOMENT = timedelta(microseconds=1)
HOUR = timedelta(hours=1) // MOMENT
EXACT = Context(prec=60)
"""For kW times microseconds: more places than any value that passes has."""


def number(value: object, name: str = "A value", *, decimal_comma: bool = False) -> Decimal:
    """A number of a file; what a spreadsheet stores as a float is what it shows.

    Raises:
        InvalidReading: It is none, or written with a comma that nobody explained.
    """
    if isinstance(value, str):
        return _from_text(value.strip(), name, decimal_comma=decimal_comma)
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise InvalidReading(f"{name} is not a number")
    found = Decimal(str(value)) if isinstance(value, float) else Decimal(value)
    if not found.is_finite():
        raise InvalidReading(f"{name} is not a finite number")
    return found


def _from_text(text: str, name: str, *, decimal_comma: bool) -> Decimal:
    if decimal_comma:
        if "." in text:
            raise InvalidReading(f"{name} has a point, where a comma was said to divide decimals")
        text = text.replace(",", ".", 1)
    if len(text) <= MAX_CELL and _PLAIN.fullmatch(text):
        return Decimal(text)
    if _COMMA.fullmatch(text):
        raise InvalidReading(f"{name} has a comma: if it divides decimals, say so (decimal comma)")
    raise InvalidReading(f"{name} is not a number")


def energy(kilowatts: Decimal, interval: timedelta) -> Decimal:
    """KWh of a mean power over so long.

    >>> energy(Decimal("2"), timedelta(minutes=15))
    Decimal('0.5')
    """
    return EXACT.divide(EXACT.multiply(kilowatts, Decimal(interval // MOMENT)), Decimal(HOUR))


class Clock:
    """Reads moments; those without an offset are of one time zone."""

    def __init__(self, zone: str = "UTC", order: DateOrder = DateOrder.ISO) -> None:
        self._zone = _zone(zone)
        self._order = order

    def moment(self, value: object, name: str = "The time") -> datetime:
        """A point in time, UTC.

        Raises:
            InvalidReading: None, or one that the clocks of the zone skip or show twice.
        """
        if isinstance(value, str):
            value = self._from_text(value.strip(), name)
        if not isinstance(value, datetime):
            if isinstance(value, date):
                raise InvalidReading(f"{name} is a day without a time")
            raise InvalidReading(f"{name} is not a date and time")
        try:
            return value.astimezone(UTC) if value.utcoffset() is not None else self._local(value)
        except OverflowError:
            raise InvalidReading(f"{name} is not a date and time of ours") from None

    def _from_text(self, text: str, name: str) -> datetime:
        try:
            if self._order is DateOrder.ISO:
                return read_iso(text)
            if found := _DATE.fullmatch(text):
                day, month = found["one"], found["two"]
                if self._order is DateOrder.MONTH_FIRST:
                    day, month = month, day
                time = (found["rest"] or "00:00").rjust(5, "0")
                if time[1] == ":":
                    time = f"0{time}"
                return datetime.fromisoformat(f"{found['year']}-{month:0>2}-{day:0>2} {time}")
        except ValueError:
            pass
        if self._order is DateOrder.ISO and _DATE.fullmatch(text):
            raise InvalidReading(
                f"{name} does not begin with the year: say whether day or month comes first"
            )
        raise InvalidReading(f"{name} is not a date and time")

    def _local(self, naive: datetime) -> datetime:
        if self._zone is UTC:
            return naive.replace(tzinfo=UTC)
        local = naive.replace(tzinfo=self._zone, fold=0)
        moment = local.astimezone(UTC)
        if moment.astimezone(self._zone).replace(tzinfo=None) != naive:
            raise InvalidReading(f"{naive:%Y-%m-%d %H:%M} is a time that clocks skipped there")
        if local.replace(fold=1).astimezone(UTC) != moment:
            raise InvalidReading(
                f"{naive:%Y-%m-%d %H:%M} is a time that clocks showed twice there: "
                "write it with its UTC offset"
            )
        return moment


def _zone(name: str) -> tzinfo:
    if name.upper() in ("UTC", "Z"):
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise FileRefused(f"There is no time zone {name!r}: for example Asia/Bangkok") from None


def to_second(moment: datetime) -> datetime:
    """Rounded: spreadsheets keep times as fractions of a day, and miss by microseconds."""
    return (moment + timedelta(microseconds=500_000)).replace(microsecond=0)
