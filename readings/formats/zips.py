"""What a zip archive may be before anything in it is unpacked. Pure."""

from __future__ import annotations

import zipfile
import zlib
from typing import BinaryIO

from readings.errors import FileRefused

MAX_ENTRIES = 1_000
MAX_UNPACKED = 1024 * 1024 * 1024
MAX_RATIO = 100
"""Unpacked to packed; workbooks of numbers have 5 to 20."""

RATIO_COUNTS_FROM = 16 * 1024 * 1024
"""Unpacked bytes below which a good ratio is only a small file of repetitions."""

MAX_BESIDE = 64 * 1024 * 1024
"""Unpacked bytes of anything but a sheet (a workbook's texts, say): it is held in memory."""

BLOCK = 1024 * 1024
SHEETS = "xl/worksheets/"


def check_zip(file: BinaryIO) -> zipfile.ZipFile:
    """The archive, if what it says of itself is within limits; reading it cannot exceed that.

    Raises:
        FileRefused: It is damaged, locked, or a bomb.
    """
    file.seek(0)
    try:
        archive = zipfile.ZipFile(file)
        entries = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, EOFError):
        raise FileRefused("The workbook is damaged: its archive cannot be read") from None
    if len(entries) > MAX_ENTRIES:
        raise FileRefused(f"The archive has more than {MAX_ENTRIES:,} entries")
    unpacked = sum(entry.file_size for entry in entries)
    packed = max(1, sum(entry.compress_size for entry in entries))
    if unpacked > MAX_UNPACKED or (unpacked > RATIO_COUNTS_FROM and unpacked / packed > MAX_RATIO):
        raise FileRefused(
            f"The archive would unpack to {unpacked:,} bytes, {unpacked // packed:,} times its size"
        )
    for entry in entries:
        if entry.flag_bits & 1:
            raise FileRefused("The workbook is locked with a password")
        if entry.filename.startswith(SHEETS):
            _check_rows(archive, entry)
        elif entry.file_size > MAX_BESIDE:
            raise FileRefused("The workbook holds too much beside its sheets: save one as CSV")
    return archive


def _check_rows(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> None:
    """Refuses a sheet with a row, or a text, that is too large to be held in memory."""
    try:
        with archive.open(entry) as sheet:
            while block := sheet.read(BLOCK):
                if len(block) == BLOCK and b"row" not in block:
                    raise FileRefused("The sheet holds a megabyte without a row: save it as CSV")
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, OSError, ValueError):
        raise FileRefused("The workbook is damaged: a sheet cannot be unpacked") from None
