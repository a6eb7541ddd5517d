"""The lines of an audit pack, and their one form as bytes.

docs/audit-pack.md tells what each field means; a test compares the names.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated, Any, NoReturn, get_args, get_origin, get_type_hints

from minting.engine.audit_pack.codecs import (
    Address,
    Codec,
    Count,
    Id,
    Instant,
    Kwh,
    Raw,
    Root,
    SignatureText,
    Text,
    Units,
)
from minting.engine.errors import PackRefused

FORMAT = "gridtoken/audit-pack"
VERSION = 1

MAX_LINE = 16 * 1024
"""Bytes; the longest, a transaction of 4,096 bytes with an error, has some 8,000."""


@dataclass(frozen=True, slots=True)
class PackBatch:
    """The first line: what was asked, of which mint on which cluster, and how it ended."""

    format: Text
    version: Count
    id: Id
    status: Text
    source: Text
    requested_by: Text | None
    approved_by: Text | None
    retry_of: Id | None
    created_at: Instant
    started_at: Instant | None
    finished_at: Instant | None
    genesis_hash: Address
    mint: Address
    token_program: Address
    decimals: Count
    total_readings: Count
    successful_mints: Count
    failed_mints: Count
    fee_estimate_lamports: Count | None
    rent_estimate_lamports: Count | None
    fee_paid_lamports: Count
    rent_paid_lamports: Count


@dataclass(frozen=True, slots=True)
class PackTransaction:
    """One signed transaction; as many ``PackReading`` as it says follow it."""

    signature: SignatureText
    raw: Raw
    version: Text
    status: Text
    slot: Count | None
    error: Text | None
    """What it landed with: the node's JSON, as text."""
    blockhash: Address
    blockhash_slot: Count
    last_valid_block_height: Count
    fee_payer: Address
    memo_batch: Id
    memo_root: Root
    base_units: Units
    new_accounts: Count
    network_fee_lamports: Count
    priority_fee_lamports: Count
    rent_lamports: Count
    readings: Count
    signed_at: Instant


@dataclass(frozen=True, slots=True)
class PackReading:
    """A leaf of the transaction before it, and what was measured."""

    index: Count
    id: Id
    wallet: Address
    base_units: Units
    kwh: Kwh
    meter: Text
    period_start: Instant
    period_end: Instant


@dataclass(frozen=True, slots=True)
class PackUnpaid:
    """A reading of the batch that is not minted (yet), and why."""

    id: Id
    wallet: Text
    base_units: Units
    kwh: Kwh
    meter: Text
    period_start: Instant
    period_end: Instant
    status: Text
    code: Text
    reason: Text


@dataclass(frozen=True, slots=True)
class PackExcluded:
    """A reading that was asked for and never got into the batch."""

    id: Id
    code: Text
    reason: Text


@dataclass(frozen=True, slots=True)
class PackEnd:
    """The last line: what the lines before it add up to, and their digest."""

    lines: Count
    transactions: Count
    paid: Count
    unpaid: Count
    excluded: Count
    base_units_paid: Units
    fee_paid_lamports: Count
    rent_paid_lamports: Count
    digest: Root
    """SHA-256 of all bytes before this line."""


PackLine = PackBatch | PackTransaction | PackReading | PackUnpaid | PackExcluded | PackEnd

TYPES: Mapping[str, type[PackLine]] = MappingProxyType(
    {
        "batch": PackBatch,
        "transaction": PackTransaction,
        "reading": PackReading,
        "unpaid": PackUnpaid,
        "excluded": PackExcluded,
        "end": PackEnd,
    }
)
"""What may stand in ``type``, in the order in which the lines come."""

_NAMES = {kind: name for name, kind in TYPES.items()}


def _codecs(kind: type[PackLine]) -> dict[str, tuple[Codec, bool]]:
    """(How it is written, whether it may be null) of each field."""
    found = {}
    for name, hint in get_type_hints(kind, include_extras=True).items():
        options = [hint] if get_origin(hint) is Annotated else get_args(hint)
        [codec] = [each.__metadata__[0] for each in options if get_origin(each) is Annotated]
        found[name] = (codec, len(options) > 1)
    return found


_CODECS = {kind: _codecs(kind) for kind in TYPES.values()}


def encode(line: PackLine) -> bytes:
    """A line in its one form, newline included."""
    document: dict[str, str | int | None] = {"type": _NAMES[type(line)]}
    for name, (codec, _) in _CODECS[type(line)].items():
        value = getattr(line, name)
        document[name] = None if value is None else codec.write(value)
    return _canonical(document)


def _canonical(document: object) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode("ascii") + b"\n"


def refuse(number: int, reason: str) -> NoReturn:
    """The one sentence by which a pack is refused."""
    raise PackRefused(f"The audit pack is refused at line {number}: {reason}")


def decode(text: bytes, number: int) -> PackLine:
    """One line as it was written; whatever would not be written so is refused."""
    if not text.endswith(b"\n"):
        refuse(number, "too long" if len(text) > MAX_LINE else "it is cut off")
    try:
        document = json.loads(text)
        canonical = isinstance(document, dict) and _canonical(document) == text
    except (ValueError, RecursionError):
        refuse(number, "not JSON")
    if not canonical:
        refuse(number, "not one canonical JSON object (sorted, no blanks, no key twice)")
    if number == 1:
        _require_format(document)
    named = document.pop("type", None)
    kind = TYPES.get(named) if isinstance(named, str) else None
    if kind is None:
        refuse(number, "of an unknown type")
    if document.keys() != _CODECS[kind].keys():
        wrong = min(document.keys() ^ _CODECS[kind].keys())
        refuse(number, f"{wrong[:40]!r} is missing, or does not belong there")
    return kind(**{name: _value(kind, name, document[name], number) for name in document})


def _require_format(document: dict[str, Any]) -> None:
    if document.get("type") != "batch" or document.get("format") != FORMAT:
        refuse(1, f"it does not begin as a {FORMAT}")
    version = document.get("version")
    if type(version) is not int or version != VERSION:
        refuse(1, f"version {str(version)[:20]} is not known here, only {VERSION}")


def _value(kind: type[PackLine], name: str, written: Any, number: int) -> Any:
    codec, nullable = _CODECS[kind][name]
    if written is None and nullable:
        return None
    try:
        value = codec.read(written)
        if codec.write(value) == written:
            return value
    except (ValueError, OverflowError) as error:
        refuse(number, f"{name!r} is not what it must be ({error})")
    refuse(number, f"{name!r} is not written as it must be")
