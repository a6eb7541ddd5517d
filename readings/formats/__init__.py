"""Files of readings: each format a stream, all in one normal form. Pure: no Django.

A parser is a function from an open binary file and ``Options`` to an iterator of ``Row``; it reads
on as rows are asked for, and keeps no more than a line, a day or a tag in memory. What is wrong
with a row is in the row; what is wrong with the file raises ``FileRefused``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import BinaryIO

from readings.errors import FileRefused
from readings.formats.csv_file import csv_lines, csv_rows
from readings.formats.detect import detect
from readings.formats.green_button import green_button_rows
from readings.formats.json_lines import json_rows
from readings.formats.nem12 import nem12_rows
from readings.formats.shapes import (
    MAX_BYTES,
    MAX_ROWS,
    DateOrder,
    Exported,
    Format,
    Options,
    Row,
    Rows,
)
from readings.formats.xlsx_file import xlsx_lines, xlsx_rows

__all__ = [
    "MAX_BYTES",
    "MAX_ROWS",
    "DateOrder",
    "Exported",
    "Format",
    "Options",
    "Row",
    "Rows",
    "detect",
    "header",
    "read",
    "with_format",
]

PARSERS: Mapping[Format, Callable[[BinaryIO, Options], Rows]] = {
    Format.CSV: csv_rows,
    Format.XLSX: xlsx_rows,
    Format.JSONL: json_rows,
    Format.NEM12: nem12_rows,
    Format.GREEN_BUTTON: green_button_rows,
}


def with_format(options: Options, file: BinaryIO) -> Options:
    """The same, with the format told by the content where nobody said it.

    Raises:
        FileRefused: It is none of ours.
    """
    return options if options.format else replace(options, format=detect(file))


def header(file: BinaryIO, options: Options) -> list[str]:
    """The names that the first line of a table has; none for other formats.

    Raises:
        FileRefused: It cannot be read.
    """
    match options.format or detect(file):
        case Format.CSV:
            lines = csv_lines(file)
        case Format.XLSX:
            lines = xlsx_lines(file, options.sheet)
        case _:
            return []
    cells = next((cells for _, cells in lines if any(cells)), [])
    return [str(cell).strip() if cell is not None else "" for cell in cells]


def read(file: BinaryIO, options: Options) -> Rows:
    """The readings of a file, in its order.

    Args:
        file: Open for reading and seeking.
        options: What is said about it; its format, if that is not to be told by the content.

    Raises:
        FileRefused: It cannot be read, or not to its end; what came before must not count.
    """
    parse = PARSERS[options.format or detect(file)]
    for count, row in enumerate(parse(file, options), start=1):
        if count > MAX_ROWS:
            raise FileRefused(f"The file has more than {MAX_ROWS:,} readings: bring it in parts")
        yield row
