"""Bytes to lines: encodings told or refused, no line without an end. Pure.

A file is read at most twice: once to tell its encoding, once line by line.
"""

from __future__ import annotations

import codecs
import io
from collections.abc import Iterator
from typing import BinaryIO

from readings.errors import FileRefused
from readings.formats.shapes import MAX_LINE

BLOCK = 256 * 1024

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, ""),
    (codecs.BOM_UTF32_BE, ""),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_SAMPLE = 64


def encoding_of(file: BinaryIO) -> str:
    """UTF-8 or UTF-16, told by mark or by content; else Windows' Western characters (CP1252).

    Raises:
        FileRefused: UTF-32, or bytes that are no text in any of them.
    """
    file.seek(0)
    head = file.read(_SAMPLE)
    for mark, encoding in _MARKS:
        if head.startswith(mark):
            if not encoding:
                raise FileRefused("The file is UTF-32: save it as UTF-8")
            return encoding
    if guessed := _utf16(head):
        return guessed
    for encoding in ("utf-8", "cp1252"):
        if _decodes(file, encoding):
            return encoding
    raise FileRefused("The file is no text that can be read: save it as UTF-8")


def _utf16(head: bytes) -> str:
    """By the zeros in every second byte, which any header in Latin letters has."""
    if len(head) >= 4:
        if not any(head[1::2]) and all(head[0::2]):
            return "utf-16-le"
        if not any(head[0::2]) and all(head[1::2]):
            return "utf-16-be"
    return ""


def _decodes(file: BinaryIO, encoding: str) -> bool:
    decoder = codecs.getincrementaldecoder(encoding)()
    file.seek(0)
    try:
        while block := file.read(BLOCK):
            decoder.decode(block)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def lines(file: BinaryIO, encoding: str) -> Iterator[str]:
    r"""Lines with their ends, which are any of \n, \r\n, \r.

    Raises:
        FileRefused: A line without end, a NUL, or bytes that are not of this encoding.
    """
    file.seek(0)
    # newline="" keeps ends as they are, so that a quoted cell of a CSV keeps them too.
    text = io.TextIOWrapper(file, encoding, newline="")
    number = 0
    try:
        while True:
            number += 1
            line = text.readline(MAX_LINE + 1)
            if not line:
                return
            if len(line) > MAX_LINE:
                raise FileRefused(f"longer than {MAX_LINE:,} characters", line=number)
            if "\0" in line:
                raise FileRefused("holds zeros: this is no text", line=number)
            yield line
    except UnicodeError:
        raise FileRefused(f"holds bytes that are not {encoding.upper()}", line=number) from None
    finally:
        if not file.closed:
            text.detach()  # or the file would be closed with it
