"""What a file is, told by its content; names and endings are not asked. Pure."""

from __future__ import annotations

from typing import BinaryIO

from readings.errors import FileRefused
from readings.formats.shapes import Format
from readings.formats.text import encoding_of
from readings.formats.zips import check_zip

BEGINNING = 4096

_NOT_OURS = (
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook (XLS) or one with a password: save it as XLSX"),
    (b"%PDF", "a PDF: bring the table that it was made of"),
    (b"\x1f\x8b", "compressed (gzip): unpack it first"),
    (b"BZh", "compressed (bzip2): unpack it first"),
    (b"\xfd7zXZ", "compressed (xz): unpack it first"),
    (b"7z\xbc\xaf", "compressed (7z): unpack it first"),
)


def detect(file: BinaryIO) -> Format:
    """The format.

    Raises:
        FileRefused: None of ours; the sentence says what it is, where that is known.
    """
    file.seek(0)
    head = file.read(16)
    for beginning, sentence in _NOT_OURS:
        if head.startswith(beginning):
            raise FileRefused(f"The file is {sentence}")
    if head.startswith(b"PK"):
        with check_zip(file) as archive:
            if "xl/workbook.xml" not in archive.namelist():
                raise FileRefused("The file is an archive: unpack it first")
        return Format.XLSX
    return _text_format(file)


def _text_format(file: BinaryIO) -> Format:
    encoding = encoding_of(file)
    file.seek(0)
    # An XML file may be one line; its first character is enough.
    start = file.read(BEGINNING).decode(encoding, errors="ignore").lstrip("\ufeff \t\r\n")
    if not start:
        raise FileRefused("The file is empty")
    if start[0] == "<":
        return Format.GREEN_BUTTON
    if start[0] in "{[":
        return Format.JSONL
    kind = start[:64].replace('"', "").replace(" ", "").upper()
    return Format.NEM12 if kind.startswith(("100,NEM12", "100,NEM13")) else Format.CSV
