"""Comma-separated values, whatever separates them. Pure."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from itertools import chain
from typing import BinaryIO

from readings.errors import FileRefused
from readings.formats.columns import normal
from readings.formats.shapes import Options, Rows
from readings.formats.table import Cells, table_rows
from readings.formats.text import encoding_of, lines

SEPARATORS = (",", ";", "\t", "|")


def csv_rows(file: BinaryIO, options: Options) -> Rows:
    """Readings of a CSV file; see ``table_rows``."""
    return table_rows(csv_lines(file), options)


def csv_lines(file: BinaryIO) -> Iterator[tuple[int, Cells]]:
    """Line number and cells of every line that is not empty.

    Raises:
        FileRefused: No text, or a quotation that never ends.
    """
    text = lines(file, encoding_of(file))
    before = 0
    for header in text:
        if header.strip():
            break
        before += 1
    else:
        return
    reader = csv.reader(chain([header], text), delimiter=separator_of(header), strict=True)
    while True:
        line = before + reader.line_num + 1
        try:
            cells = next(reader, None)
        except csv.Error as error:
            # csv stops a cell at 131,072 characters, so that an open quotation ends there.
            raise FileRefused(f"not CSV ({error})", line=line) from None
        if cells is None:
            return
        if cells:
            yield line, cells


def separator_of(header: str) -> str:
    """What divides the header into most names.

    >>> separator_of("meter;time;kwh")
    ';'
    """
    return max(SEPARATORS, key=lambda mark: sum(map(bool, map(normal, header.split(mark)))))
