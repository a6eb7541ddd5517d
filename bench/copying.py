"""Rows for PostgreSQL's COPY, and the made-up values in them: the same for the same seed."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from random import Random
from typing import Any

from django.db import connection
from django.db.models import Model
from solders.keypair import Keypair
from solders.signature import Signature

from minting.models import MintBatch, MintResult, MintSlice, MintTransaction
from readings.models import Meter, MeterAssignment, MeterReading, Owner, Wallet

LINES = 5_000
"""Sent to the server at a time."""

FILLED: tuple[type[Model], ...] = (
    Owner,
    Wallet,
    Meter,
    MeterAssignment,
    MeterReading,
    MintBatch,
    MintSlice,
    MintTransaction,
    MintResult,
)
"""In the order in which rows refer to each other."""


class Table:
    """Lines for one model's table; what is not given has the model's default."""

    def __init__(self, model: type[Model]) -> None:
        columns = [each for each in model._meta.concrete_fields if not each.generated]
        names = ", ".join(f'"{each.column}"' for each in columns)
        self._copy = f'COPY "{model._meta.db_table}" ({names}) FROM STDIN'
        self._place = {each.attname: at for at, each in enumerate(columns)}
        self._defaults = [_default_of(each) for each in columns]
        self._lines: list[str] = []
        self.rows = 0

    def add(self, **values: Any) -> None:
        """One row, by the attributes of the model; texts without tabs, newlines, backslashes."""
        row = self._defaults.copy()
        for name, value in values.items():
            row[self._place[name]] = value
        self._lines.append("\t".join([r"\N" if each is None else f"{each}" for each in row]))

    def write(self) -> None:
        """Copies what was added since the last time."""
        if self._lines:
            with connection.cursor() as cursor, cursor.copy(self._copy) as copy:
                for at in range(0, len(self._lines), LINES):
                    copy.write("\n".join(self._lines[at : at + LINES]) + "\n")
        self.rows += len(self._lines)
        self._lines = []


@dataclass
class Pen:
    """Writes rows of all tables, with values drawn from one source."""

    rng: Random
    tables: dict[type[Model], Table] = field(
        default_factory=lambda: {model: Table(model) for model in FILLED}
    )
    _written: int = 0

    def add(self, model: type[Model], **values: Any) -> None:
        """One row."""
        self.tables[model].add(**values)

    def write(self) -> None:
        """Copies what was added since the last time."""
        for table in self.tables.values():
            table.write()

    def uuid4(self) -> str:
        """Of readings: tells nothing."""
        return _uuid(self.rng.getrandbits(128), version=4)

    def uuid7(self, moment: datetime) -> str:
        """Of everything else: ordered by time, and within it by when it was asked for."""
        self._written += 1
        number = self._written & 0xFFFFFFFF
        high, low = number >> 20, number & 0xFFFFF
        bits = int(moment.timestamp() * 1000) << 80 | high << 64 | low << 42
        return _uuid(bits | self.rng.getrandbits(42), version=7)

    def signature(self) -> str:
        """Of a transaction that nobody signed."""
        return str(Signature(self.rng.randbytes(64)))


def address(name: str) -> str:
    """A wallet with a key, the same for the same name."""
    return str(Keypair.from_seed(sha256(f"gridtoken bench {name}".encode()).digest()).pubkey())


def binary(content: bytes) -> str:
    """Of a ``bytea`` column."""
    return rf"\\x{content.hex()}"


def _default_of(field: Any) -> Any:
    """What every row may have: an id or a time of now is each row's own."""
    if field.has_default() and callable(field.default):
        return None
    if field.has_db_default() and not field.has_default():
        return field.db_default  # a plain value, as long as no column computes one
    return field.get_default()


def _uuid(bits: int, *, version: int) -> str:
    fixed = (bits & ~(0xF << 76) & ~(0x3 << 62)) | version << 76 | 0x2 << 62
    return f"{fixed:032x}"
