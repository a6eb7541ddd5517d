"""Excel workbooks, row by row. Pure.

openpyxl streams the sheet and takes its XML through defusedxml; the archive is checked before.
"""

from __future__ import annotations

import warnings
import zipfile
import zlib
from collections.abc import Iterator
from datetime import date, datetime
from typing import Any, BinaryIO
from xml.etree.ElementTree import ParseError

from defusedxml.common import DefusedXmlException
from openpyxl import load_workbook
from openpyxl.utils.exceptions import InvalidFileException

from readings.errors import FileRefused
from readings.formats.shapes import MAX_CELL, MAX_COLUMNS, MAX_ROWS, Options, Rows
from readings.formats.table import Cells, table_rows
from readings.formats.values import to_second
from readings.formats.zips import check_zip

LAST_LINE = 1_048_576
"""Of a sheet, in Excel."""

_DAMAGE = (
    zipfile.BadZipFile, InvalidFileException, ParseError, KeyError, ValueError, TypeError,
    AttributeError, IndexError, EOFError, OverflowError, NotImplementedError, OSError, zlib.error,
)  # fmt: skip
"""What openpyxl raises for files that are not what they say; none of it is a fault of ours."""


def xlsx_rows(file: BinaryIO, options: Options) -> Rows:
    """Readings of a sheet; see ``table_rows``."""
    return table_rows(xlsx_lines(file, options.sheet), options)


def xlsx_lines(file: BinaryIO, sheet: str = "") -> Iterator[tuple[int, Cells]]:
    """Number and cells of every row of a sheet, the first one unless it is named.

    Raises:
        FileRefused: Damaged, locked, a bomb, or without that sheet.
    """
    check_zip(file).close()
    file.seek(0)
    try:
        # Styles that openpyxl does not know and the like: nothing that a reading depends on.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            workbook = load_workbook(file, read_only=True, data_only=True)
    except DefusedXmlException:
        raise FileRefused("The workbook's XML declares entities: refused") from None
    except _DAMAGE as error:
        raise FileRefused(f"The workbook cannot be read ({type(error).__name__})") from None
    yield from _guarded(_rows_of(workbook, sheet))


def _rows_of(workbook: Any, name: str) -> Iterator[tuple[int, Cells]]:
    sheets = {each.title: each for each in workbook.worksheets}
    if not sheets:
        raise FileRefused("The workbook has no sheet")
    if name and name not in sheets:
        raise FileRefused(f"There is no sheet {name!r}: {', '.join(list(sheets)[:10])}")
    sheet = sheets[name] if name else next(iter(sheets.values()))
    # Sheets lie about their size, and what they claim to have is filled in.
    sheet.reset_dimensions()
    rows = sheet.iter_rows(values_only=True, max_col=MAX_COLUMNS + 1)
    for number, row in enumerate(rows, start=1):
        if number > min(LAST_LINE, MAX_ROWS + 1_000):
            raise FileRefused("The sheet has more rows than a file may have")
        yield number, _cells(row)


def _guarded(rows: Iterator[tuple[int, Cells]]) -> Iterator[tuple[int, Cells]]:
    """The same, damage told as such."""
    while True:
        try:
            row = next(rows, None)
        except FileRefused:
            raise
        except DefusedXmlException:
            raise FileRefused("The workbook's XML declares entities: refused") from None
        except _DAMAGE as error:
            raise FileRefused(f"The sheet cannot be read ({type(error).__name__})") from None
        if row is None:
            return
        yield row


def _cells(row: tuple[object, ...]) -> Cells:
    """Without the empty ones at the end; times to the second, which is all that a sheet keeps."""
    width = len(row)
    while width and row[width - 1] is None:
        width -= 1
    return [_cell(value) for value in row[:width]]


def _cell(value: object) -> object:
    if isinstance(value, datetime):
        return to_second(value)
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day)  # noqa: DTZ001 - a sheet knows no zone
    if isinstance(value, str) and len(value) > MAX_CELL:
        return value[: MAX_CELL + 1]  # too long for any field, which its judge says
    return value
