"""How single values stand in an audit pack: one written form each, and nothing else is read."""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any, NamedTuple
from uuid import UUID

from solders.message.v1 import MAX_TRANSACTION_SIZE
from solders.pubkey import Pubkey
from solders.signature import Signature

from minting.engine.types import U64_MAX

MAX_TEXT = 1_000
"""Characters of any text; the writer cuts longer reasons."""


class Codec(NamedTuple):
    """How a value stands in JSON. ``read`` raises ``ValueError``; ``write`` undoes it."""

    write: Callable[[Any], str | int]
    read: Callable[[Any], Any]


def _is(kind: type, value: Any) -> Any:
    if type(value) is not kind:
        raise ValueError(f"{type(value).__name__} instead of {kind.__name__}")
    return value


def _read_text(value: Any) -> str:
    text: str = _is(str, value)
    text.encode()  # half a surrogate pair is no text
    if len(text) > MAX_TEXT:
        raise ValueError(f"more than {MAX_TEXT} characters")
    return text


def _read_count(value: Any) -> int:
    if not 0 <= (count := int(_is(int, value))) < 2**63:
        raise ValueError("out of range")
    return count


def _read_units(value: Any) -> int:
    if not re.fullmatch("[0-9]{1,20}", _is(str, value)) or int(value) > U64_MAX:
        raise ValueError("no u64")
    return int(value)


def _read_kwh(value: Any) -> Decimal:
    if not re.fullmatch(r"[0-9]{1,11}\.[0-9]{9}", _is(str, value)):
        raise ValueError("no kWh with nine places")
    return Decimal(value)


def _read_raw(value: Any) -> bytes:
    raw = b64decode(_is(str, value), validate=True)
    if len(raw) > MAX_TRANSACTION_SIZE:
        raise ValueError("more bytes than a transaction may have")
    return raw


def _read_root(value: Any) -> bytes:
    root = bytes.fromhex(_is(str, value))
    if len(root) != 32:
        raise ValueError("not 32 bytes")
    return root


def _write_instant(value: datetime) -> str:
    return value.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


TEXT = Codec(str, _read_text)
COUNT = Codec(int, _read_count)
UNITS = Codec(str, _read_units)
KWH = Codec(lambda value: format(value, ".9f"), _read_kwh)
ID = Codec(str, lambda value: UUID(_is(str, value)))
ADDRESS = Codec(str, lambda value: str(Pubkey.from_string(_is(str, value))))
SIGNATURE = Codec(str, lambda value: str(Signature.from_string(_is(str, value))))
RAW = Codec(lambda value: b64encode(value).decode(), _read_raw)
ROOT = Codec(bytes.hex, _read_root)
INSTANT = Codec(_write_instant, lambda value: datetime.fromisoformat(_is(str, value)))

Text = Annotated[str, TEXT]
Count = Annotated[int, COUNT]
Units = Annotated[int, UNITS]
"""Base units: text, since a u64 is larger than what many readers of JSON take for a number."""
Kwh = Annotated[Decimal, KWH]
Id = Annotated[UUID, ID]
Address = Annotated[str, ADDRESS]
SignatureText = Annotated[str, SIGNATURE]
Raw = Annotated[bytes, RAW]
Root = Annotated[bytes, ROOT]
Instant = Annotated[datetime, INSTANT]
