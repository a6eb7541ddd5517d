"""The normal form of a file's readings, and what a person says beside the file. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from readings.candidate import Submission
from readings.errors import InvalidReading

MAX_BYTES = 256 * 1024 * 1024
"""Of a file. An import is one transaction; what is larger is brought in parts."""

MAX_ROWS = 1_000_000
"""Of a file: about three minutes of one transaction."""

MAX_LINE = 1024 * 1024
"""Characters of one line of text."""

MAX_CELL = 10_000
"""Characters of one value; the longest that intake takes, a signature, is as long."""

MAX_COLUMNS = 200


class Format(StrEnum):
    """What a file may be."""

    CSV = "csv"
    XLSX = "xlsx"
    JSONL = "jsonl"
    NEM12 = "nem12"
    GREEN_BUTTON = "green_button"

    @property
    def label(self) -> str:
        """As people call it."""
        return _TITLES[self]


_TITLES = {
    Format.CSV: "CSV",
    Format.XLSX: "Excel (XLSX)",
    Format.JSONL: "JSON Lines",
    Format.NEM12: "NEM12",
    Format.GREEN_BUTTON: "Green Button (ESPI)",
}


class Exported(StrEnum):
    """What counts as exported in a file that tells only what was generated and consumed."""

    SURPLUS = "surplus"
    """Generated less consumed, where that is above zero."""
    GENERATED = "generated"
    """All that was generated: a meter that feeds in everything."""


class DateOrder(StrEnum):
    """How dates are written."""

    ISO = "iso"
    DAY_FIRST = "dmy"
    MONTH_FIRST = "mdy"


@dataclass(frozen=True, slots=True)
class Options:
    """What a person says about a file, because guessing could cost money.

    Only ``format`` and the separator of columns are found out; the rest is asked for where a file
    needs it.
    """

    format: Format | None = None
    """``None``: told by the content."""
    meter: str = ""
    """Serial of the meter, for files that name none."""
    interval_seconds: int | None = None
    """Of a period that is told by one moment."""
    exported: Exported | None = None
    mapping: Mapping[str, str] = field(default_factory=dict)
    """Column of the file → one of ``columns.FIELDS``; what is not named here goes by its name."""
    decimal_comma: bool = False
    timezone: str = "UTC"
    """Of moments without an offset."""
    dates: DateOrder = DateOrder.ISO
    sheet: str = ""
    """Of a workbook; else the first."""


@dataclass(frozen=True, slots=True)
class Row:
    """One reading of a file, or why this place of the file tells none."""

    line: int
    """Of the text, the sheet, or the number of the record: where people look."""
    reading: Submission | InvalidReading


Rows = Iterator[Row]
