"""A table of owners, wallets and meters, one meter a line, to what each line asks for. Pure.

An owner with several meters stands on several lines; what is left empty stays as it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import BinaryIO

from readings.candidate import LONGEST_INTERVAL, LONGEST_SERIAL
from readings.errors import AnswerNeeded, FileRefused, InvalidReading, RegistryError
from readings.formats import values
from readings.formats.columns import located, normal
from readings.formats.csv_file import csv_lines
from readings.formats.detect import detect
from readings.formats.shapes import Format, Options
from readings.formats.xlsx_file import xlsx_lines

NAMES: Mapping[str, tuple[str, ...]] = {
    "user_id": ("user_id", "owner_id", "customer_id", "owner"),
    "name": ("name", "owner_name", "customer_name"),
    "email": ("email", "e_mail", "owner_email"),
    "wallet": ("wallet_address", "wallet"),
    "serial": ("meter_serial", "serial", "serial_number", "meter_id", "meter"),
    "meter_name": ("meter_name",),
    "location": ("location", "meter_location"),
    "interval": ("interval_seconds", "interval"),
    "held_from": ("held_from", "starts_at", "held_since", "from"),
    "held_until": ("held_until", "ends_at", "until"),
}
"""Field → the names that a column of it has."""

LONGEST = {
    "user_id": 64,
    "name": 200,
    "email": 254,
    "wallet": 44,
    "serial": LONGEST_SERIAL,
    "meter_name": 200,
    "location": 200,
}
MAX_LINES = 200_000


@dataclass(frozen=True, slots=True)
class Entry:
    """What one line asks for; empty: nothing is said."""

    line: int
    user_id: str = ""
    name: str = ""
    email: str = ""
    wallet: str = ""
    serial: str = ""
    meter_name: str = ""
    location: str = ""
    interval: int | None = None
    held_from: datetime | None = None
    held_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class BadEntry:
    """A line that asks for nothing that can be."""

    line: int
    error: RegistryError


FORMULA = ("=", "+", "-", "@")
"""What spreadsheets take for the beginning of a formula."""


def guarded(text: str) -> str:
    """Text as a spreadsheet's user writes what begins like a formula: with an apostrophe.

    >>> guarded("=1+1")
    "'=1+1"
    """
    return f"'{text}" if text.startswith(FORMULA) else text


def read_registry(file: BinaryIO, options: Options) -> Iterator[Entry | BadEntry]:
    """The lines of a CSV or XLSX file.

    Raises:
        FileRefused: It is neither, or its columns make no sense.
    """
    kind = options.format or detect(file)
    if kind is Format.XLSX:
        lines = xlsx_lines(file, options.sheet)
    elif kind is Format.CSV:
        lines = csv_lines(file)
    else:
        raise FileRefused(f"A registry comes as CSV or Excel (XLSX), not as {kind.label}")
    header = next((cells for _, cells in lines if any(map(normal, cells))), None)
    if header is None:
        raise FileRefused("The file is empty")
    found = located(header, options.mapping, NAMES)
    if not found.keys() & {"user_id", "serial"}:
        names = ", ".join(filter(None, map(normal, header)))
        raise AnswerNeeded("mapping", f"No column names owners or meters: {names[:200]}")
    clock = values.Clock(options.timezone, options.dates)
    for count, (line, cells) in enumerate(lines):
        if count >= MAX_LINES:
            raise FileRefused(f"More than {MAX_LINES:,} lines: bring them in parts")
        if any(map(normal, cells)):
            yield _entry(line, _Cells(cells, found), clock)


@dataclass(frozen=True, slots=True)
class _Cells:
    cells: Sequence[object]
    found: Mapping[str, int]

    def value(self, field: str) -> object:
        at = self.found.get(field)
        value = None if at is None or at >= len(self.cells) else self.cells[at]
        return None if isinstance(value, str) and not value.strip() else value

    def text(self, field: str) -> str:
        value = self.value(field)
        if value is None:
            return ""
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, str | int):
            raise RegistryError(f"{field} is not text")
        text = str(value).strip()
        if text.startswith("'") and text[1:].startswith(FORMULA):
            text = text[1:]
        if len(text) > LONGEST[field]:
            raise RegistryError(f"{field} is longer than {LONGEST[field]} characters")
        if "\0" in text or any("\ud800" <= letter <= "\udfff" for letter in text):
            raise RegistryError(f"{field} holds characters that are no text")
        return text

    def interval(self) -> int | None:
        value = self.value("interval")
        if value is None:
            return None
        seconds = values.number(value, "interval_seconds")
        if seconds != seconds.to_integral_value() or not 1 <= seconds <= LONGEST_INTERVAL:
            raise RegistryError("An interval lasts from 1 second to 1 day")
        return int(seconds)

    def moment(self, field: str, clock: values.Clock) -> datetime | None:
        value = self.value(field)
        if value is None:
            return None
        if isinstance(value, str) and len(value.strip()) <= len("2026-01-31"):
            value = f"{value.strip()} 00:00"  # a day begins at midnight
        return clock.moment(value, field)


def _entry(line: int, cells: _Cells, clock: values.Clock) -> Entry | BadEntry:
    try:
        entry = Entry(
            line,
            **{field: cells.text(field) for field in LONGEST},
            interval=cells.interval(),
            held_from=cells.moment("held_from", clock),
            held_until=cells.moment("held_until", clock),
        )
        _check(entry)
    except InvalidReading as error:
        return BadEntry(line, RegistryError(str(error)))
    except RegistryError as error:
        return BadEntry(line, error)
    return entry


def _check(entry: Entry) -> None:
    if not entry.user_id and not entry.serial:
        raise RegistryError("Neither an owner (user_id) nor a meter (meter_serial) is named")
    if not entry.user_id and (entry.name or entry.email or entry.wallet):
        raise RegistryError("Whose name, email or wallet this is, is not said (user_id)")
    if not entry.serial and (entry.meter_name or entry.location or entry.interval):
        raise RegistryError("Which meter this is about is not said (meter_serial)")
    if (entry.held_from or entry.held_until) and not (entry.user_id and entry.serial):
        raise RegistryError("Who holds which meter needs user_id and meter_serial")
    if entry.held_until and not entry.held_from:
        raise RegistryError("Until when a meter is held needs from when (held_from)")
    if entry.held_from and entry.held_until and entry.held_until <= entry.held_from:
        raise RegistryError("An assignment must end after it starts")
