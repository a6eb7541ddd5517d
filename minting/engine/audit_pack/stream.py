"""An audit pack as a whole, written and read line by line.

Neither side keeps more than a line and some sums in memory.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from typing import BinaryIO

from minting.engine.audit_pack.lines import (
    FORMAT,
    MAX_LINE,
    TYPES,
    PackBatch,
    PackEnd,
    PackExcluded,
    PackLine,
    PackReading,
    PackTransaction,
    PackUnpaid,
    decode,
    encode,
    refuse,
)
from minting.engine.states import TransactionStatus

MAX_LINES = 20_000_000
"""A batch of a million readings, each in ten transactions that died, has half as many."""
MAX_READINGS = 100_000
"""Of one transaction; the packer stops at 5,000 (``READINGS_A_TRANSACTION``)."""

_MINTED = frozenset({TransactionStatus.CONFIRMED, TransactionStatus.FINALIZED})
_CHARGED = _MINTED | {TransactionStatus.FAILED}


@dataclass(slots=True)
class _Tally:
    """What the lines of a pack add up to, on the way in or out."""

    counts: dict[type[PackLine], int]
    paid: int = 0
    base_units: int = 0
    fees: int = 0
    rent: int = 0
    lines: int = 0

    def add(self, line: PackLine) -> None:
        self.lines += 1
        self.counts[type(line)] += 1
        if isinstance(line, PackTransaction):
            if line.status in _CHARGED:
                self.fees += line.network_fee_lamports + line.priority_fee_lamports
            if line.status in _MINTED:
                self.paid += line.readings
                self.base_units += line.base_units
                self.rent += line.rent_lamports

    def end(self, digest: bytes) -> PackEnd:
        return PackEnd(
            lines=self.lines + 1,
            transactions=self.counts[PackTransaction],
            paid=self.paid,
            unpaid=self.counts[PackUnpaid],
            excluded=self.counts[PackExcluded],
            base_units_paid=self.base_units,
            fee_paid_lamports=self.fees,
            rent_paid_lamports=self.rent,
            digest=digest,
        )


def _new_tally() -> _Tally:
    return _Tally(dict.fromkeys(TYPES.values(), 0))


class PackWriter:
    """Writes a pack line by line, and its end."""

    def __init__(self, write: Callable[[bytes], object]) -> None:
        self._write = write
        self._digest = hashlib.sha256()
        self._tally = _new_tally()

    def add(self, line: PackLine) -> None:
        """Writes one line; the order is the caller's to keep (``TYPES``)."""
        text = encode(line)
        self._digest.update(text)
        self._tally.add(line)
        self._write(text)

    def end(self) -> PackEnd:
        """Writes and returns the last line."""
        end = self._tally.end(self._digest.digest())
        self._write(encode(end))
        return end


def is_pack(first_line: bytes) -> bool:
    """Whether a file that begins so is a pack, or was one before it was damaged."""
    return f'"format":"{FORMAT}"'.encode() in first_line


def read_pack(stream: BinaryIO) -> Iterator[PackLine]:
    """The lines of a pack, its end included.

    Whoever acts upon them before the end was read does so before the digest was compared.

    Raises:
        PackRefused: It is no pack of this version, or is not as its writer left it.
    """
    digest, tally = hashlib.sha256(), _new_tally()
    order = _Order()
    for number in range(1, MAX_LINES + 1):
        text = stream.readline(MAX_LINE + 1)
        line = decode(text, number)
        order.take(line, number)
        if isinstance(line, PackEnd):
            counted = tally.end(digest.digest())
            if line != counted:
                refuse(number, _first_difference(line, counted))
            if stream.read(1):
                refuse(number + 1, "something follows the end")
            yield line
            return
        digest.update(text)
        tally.add(line)
        yield line
    refuse(MAX_LINES, "more lines than any pack has")


def _first_difference(written: PackEnd, counted: PackEnd) -> str:
    name = next(
        each.name
        for each in fields(written)
        if getattr(written, each.name) != getattr(counted, each.name)
    )
    return f"{name!r} is not that of the lines before it"


class _Order:
    """Lines come in the order of ``TYPES``; a transaction's readings right behind it, ascending."""

    def __init__(self) -> None:
        self._section = 0
        self._due = self._seen = 0
        self._last = b""

    def take(self, line: PackLine, number: int) -> None:
        if isinstance(line, PackReading):
            self._take_reading(line, number)
            return
        if self._seen != self._due:
            refuse(number, f"{self._due} readings should come before it, {self._seen} do")
        if isinstance(line, PackTransaction):
            if line.readings > MAX_READINGS:
                refuse(number, f"a transaction of more than {MAX_READINGS} readings")
            self._due, self._seen, self._last = line.readings, 0, b""
        section = list(TYPES.values()).index(type(line))
        if section < self._section or (number > 1 and isinstance(line, PackBatch)):
            refuse(number, "it stands in the wrong place")
        self._section = section

    def _take_reading(self, line: PackReading, number: int) -> None:
        if self._seen == self._due or line.index != self._seen:
            refuse(number, "a reading that its transaction does not announce here")
        if line.id.bytes <= self._last:
            refuse(number, "readings are not in the order of their ids")
        self._seen, self._last = self._seen + 1, line.id.bytes
