"""Reading an audit pack line by line, strictly: docs/audit-pack.md in code, and nothing else."""

from __future__ import annotations

import json
import re

from chain import ALPHABET

FORMAT, VERSION = "gridtoken/audit-pack", 1
MAX_LINE, MAX_LINES = 16 * 1024, 20_000_000
U64_MAX = 2**64 - 1

KINDS = {
    "text": r"[\s\S]{0,1000}",
    "units": r"0|[1-9][0-9]{0,19}",
    "kwh": r"(?:0|[1-9][0-9]{0,10})\.[0-9]{9}",
    "id": r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}",
    "address": rf"[{ALPHABET}]{{32,44}}",
    "signature": rf"[{ALPHABET}]{{64,88}}",
    "raw": r"(?:[A-Za-z0-9+/]{4}){0,1366}(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?",
    "root": r"[0-9a-f]{64}",
    "instant": r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z",
}
MEASURED = "id:id base_units:units kwh:kwh meter:text period_start:instant period_end:instant "
FIELDS = {
    "batch": "format:text version:count id:id status:text source:text requested_by:text?"
    " approved_by:text? retry_of:id? created_at:instant started_at:instant? finished_at:instant?"
    " genesis_hash:address mint:address token_program:address decimals:count total_readings:count"
    " successful_mints:count failed_mints:count fee_estimate_lamports:count?"
    " rent_estimate_lamports:count? fee_paid_lamports:count rent_paid_lamports:count",
    "transaction": "signature:signature raw:raw version:text status:text slot:count? error:text?"
    " blockhash:address blockhash_slot:count last_valid_block_height:count fee_payer:address"
    " memo_batch:id memo_root:root base_units:units new_accounts:count network_fee_lamports:count"
    " priority_fee_lamports:count rent_lamports:count readings:count signed_at:instant",
    "reading": MEASURED + "index:count wallet:address",
    "unpaid": MEASURED + "wallet:text status:text code:text reason:text",
    "excluded": "id:id code:text reason:text",
    "end": "lines:count transactions:count paid:count unpaid:count excluded:count"
    " base_units_paid:units fee_paid_lamports:count rent_paid_lamports:count digest:root",
}
TYPES = {
    name: dict(field.split(":") for field in fields.split()) for name, fields in FIELDS.items()
}
ORDER = list(FIELDS)


class Refused(Exception):
    """The file is no pack of this version, or is not whole: nothing in it can be trusted."""


def lines(stream, digest):
    """(number, type, fields) of each line; all but the last go into the digest."""
    section = 0
    for number in range(1, MAX_LINES + 1):
        text = stream.readline(MAX_LINE + 1)
        line = parsed(number, text)
        kind = line.pop("type", None)
        check_fields(number, kind, line)
        place = ORDER.index("transaction" if kind == "reading" else kind)
        if place < section or (number > 1) == (kind == "batch"):
            raise Refused(f"line {number}, of type {kind}, stands in the wrong place")
        section = place
        if kind == "end" and stream.read(1):
            raise Refused(f"something follows the end in line {number}")
        if kind != "end":
            digest.update(text)
        yield number, kind, line
        if kind == "end":
            return
    raise Refused("it has more lines than any pack")


def parsed(number: int, text: bytes) -> dict:
    """One canonical JSON object; the first line is of a format that this program knows."""
    if not text.endswith(b"\n"):
        raise Refused(f"line {number} is cut off, or too long")
    try:
        line = json.loads(text)
        form = json.dumps(line, sort_keys=True, separators=(",", ":")).encode("ascii") + b"\n"
    except (ValueError, RecursionError):
        raise Refused(f"line {number} is not JSON") from None
    if not isinstance(line, dict) or form != text:
        raise Refused(f"line {number} is not one object in canonical form")
    if number == 1 and (line.get("type"), line.get("format")) != ("batch", FORMAT):
        raise Refused(f"it does not begin as a {FORMAT}")
    if number == 1 and (type(line.get("version")) is not int or line["version"] != VERSION):
        raise Refused(f"this program knows version {VERSION} of the format only")
    return line


def check_fields(number: int, kind, line: dict) -> None:
    if not isinstance(kind, str) or kind not in TYPES or TYPES[kind].keys() != line.keys():
        raise Refused(f"line {number} has an unknown type, or fields that do not belong to it")
    for name, form in TYPES[kind].items():
        value = line[name]
        if value is None and form.endswith("?"):
            continue
        if not fits(form.rstrip("?"), value):
            raise Refused(f"line {number}: {name} is not what it must be")


def fits(form: str, value) -> bool:
    if form == "count":
        return type(value) is int and 0 <= value < 2**63
    if not isinstance(value, str) or not re.fullmatch(KINDS[form], value):
        return False
    return form != "units" or int(value) <= U64_MAX


def hexadecimal(id_: str) -> str:
    return id_.replace("-", "")


def printable(text: object) -> str:
    """On one line of a terminal, and nothing that a terminal obeys."""
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in str(text))


def tokens(units: int, decimals: int) -> str:
    digits = str(units).rjust(decimals + 1, "0")
    return f"{digits[:-decimals]}.{digits[-decimals:]}" if decimals else digits
