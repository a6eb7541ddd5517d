"""Bytes of files, in the database by the megabyte."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import SpooledTemporaryFile
from typing import IO, BinaryIO, cast

from readings.errors import FileRefused
from readings.formats import MAX_BYTES
from readings.models import ImportFile, ImportPart
from readings.models.import_file import PartKind

PART = 1024 * 1024
IN_MEMORY = 4 * PART
"""Of a file that is read; what is more lies in the temporary folder."""


def measure(file: BinaryIO) -> tuple[int, str]:
    """Size and SHA-256 in hex.

    Raises:
        FileRefused: It is larger than a file may be.
    """
    digest, size = hashlib.sha256(), 0
    file.seek(0)
    while block := file.read(PART):
        size += len(block)
        if size > MAX_BYTES:
            raise FileRefused(f"The file is larger than {MAX_BYTES // PART} MB: bring it in parts")
        digest.update(block)
    return size, digest.hexdigest()


def keep(imported: ImportFile, kind: PartKind, file: IO[bytes]) -> None:
    """Stores all of an open file, in place of what was there."""
    drop(imported, kind)
    file.seek(0)
    number = 0
    while block := file.read(PART):
        ImportPart.objects.create(file=imported, kind=kind.value, number=number, data=block)
        number += 1


def drop(imported: ImportFile, kind: PartKind) -> None:
    """Deletes it."""
    imported.parts.filter(kind=kind.value).delete()


def stream(imported: ImportFile, kind: PartKind) -> Iterator[bytes]:
    """Its bytes, a part at a time."""
    parts = imported.parts.filter(kind=kind.value).order_by("number")
    for number in list(parts.values_list("number", flat=True)):
        yield bytes(parts.values_list("data", flat=True).get(number=number))


@contextmanager
def opened(imported: ImportFile) -> Iterator[BinaryIO]:
    """The file as it came, for reading and seeking."""
    with SpooledTemporaryFile(max_size=IN_MEMORY) as file:
        for part in stream(imported, PartKind.CONTENT):
            file.write(part)
        file.seek(0)
        yield cast("BinaryIO", file)
