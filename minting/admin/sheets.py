"""Tables as files: CSV a row at a time, XLSX through a temporary file. Memory stays flat.

Text that a spreadsheet would run as a formula gets an apostrophe before it. Numbers are exact: what
a spreadsheet's 15 digits do not hold is written to XLSX as text.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from tempfile import TemporaryFile
from typing import IO
from uuid import UUID

from openpyxl import Workbook

Value = str | int | Decimal | datetime | UUID | bytes | None
Row = Sequence[Value]

MAX_XLSX_ROWS = 1_048_576
"""Of a sheet, its headers included (ECMA-376 as Excel keeps it)."""

EXACT_DIGITS = 15
"""That every double holds."""

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
_NOT_IN_XML = dict.fromkeys(each for each in range(32) if each not in (9, 10, 13))


def csv_lines(headers: Sequence[str], rows: Iterable[Row]) -> Iterator[str]:
    """Lines of a CSV file (RFC 4180), as they come."""
    pen = csv.writer(_Echo())
    yield pen.writerow(headers)
    for row in rows:
        yield pen.writerow([_text(each) for each in row])


def xlsx_file(title: str, headers: Sequence[str], rows: Iterable[Row]) -> IO[bytes]:
    """A workbook of one sheet, at its beginning; it is gone when it is closed."""
    book = Workbook(write_only=True)
    sheet = book.create_sheet(title)
    sheet.freeze_panes = "A2"
    sheet.append(list(headers))
    for row in rows:
        sheet.append([_cell(each) for each in row])
    file = TemporaryFile()  # noqa: SIM115 - handed on, and closed with the answer
    book.save(file)
    file.seek(0)
    return file


class _Echo:
    """Where csv writes to: it hands back what it is given."""

    def write(self, text: str, /) -> str:
        return text


def _text(value: Value) -> str:
    """Exact text: moments in UTC and ISO 8601, decimals without an exponent."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, bytes | memoryview):
        return bytes(value).hex()
    return defused(value) if isinstance(value, str) else str(value)


def _cell(value: Value) -> str | int | Decimal:
    """As ``_text``, but a number where a spreadsheet holds it exactly."""
    if isinstance(value, int | Decimal) and _digits(Decimal(value)) <= EXACT_DIGITS:
        return value
    return _text(value).translate(_NOT_IN_XML)


def _digits(number: Decimal) -> int:
    return len(number.normalize().as_tuple().digits)


def defused(text: str) -> str:
    """Text that no spreadsheet takes for a formula (OWASP, "CSV injection")."""
    return f"'{text}" if text.startswith(_FORMULA) else text
