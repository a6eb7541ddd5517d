"""JSON that a node answered → the engine's facts. Strict: what is missing is never guessed.

Every function raises ``SolanaError`` for an answer that is not what was asked: such an answer
proves nothing.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from typing import TypeVar

from solders.pubkey import Pubkey

from minting.engine.errors import SolanaError
from minting.engine.types import (
    AccountView,
    Blockhash,
    CalledInstruction,
    Commitment,
    EpochInfo,
    HistoryEntry,
    LandedTransaction,
    SignatureStatus,
    Simulation,
    StatusReport,
)

T = TypeVar("T")
Json = dict[str, object]


def integer(value: object) -> int:
    """A number that counts something: u64."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**64:
        return value
    raise _unusable("a whole number", value)


def text(value: object) -> str:
    """A string."""
    if isinstance(value, str):
        return value
    raise _unusable("a string", value)


def mapping(value: object) -> Json:
    """A JSON object."""
    if isinstance(value, dict):
        return value
    raise _unusable("an object", value)


def sequence(value: object) -> list[object]:
    """A JSON array."""
    if isinstance(value, list):
        return value
    raise _unusable("an array", value)


def field(holder: Json, name: str) -> object:
    """A field that must be there; it may be null."""
    if name in holder:
        return holder[name]
    raise SolanaError(f"Unusable answer: {name!r} is missing")


def in_context(answer: object, read: Callable[[object], T]) -> tuple[T, int]:
    """An ``RpcResponse``: its value, read, and the slot of its context."""
    holder = mapping(answer)
    slot = integer(field(mapping(field(holder, "context")), "slot"))
    return read(field(holder, "value")), slot


def blockhash(answer: object) -> Blockhash:
    """``getLatestBlockhash``."""
    value, slot = in_context(answer, mapping)
    return _blockhash(value, slot)


def _blockhash(value: Json, slot: int) -> Blockhash:
    return Blockhash(
        value=text(field(value, "blockhash")),
        slot=slot,
        last_valid_block_height=integer(field(value, "lastValidBlockHeight")),
    )


def epoch_info(answer: object) -> EpochInfo:
    """``getEpochInfo``."""
    holder = mapping(answer)
    slot = integer(field(holder, "absoluteSlot"))
    index, length = holder.get("slotIndex"), holder.get("slotsInEpoch")
    return EpochInfo(
        slot=slot,
        block_height=integer(field(holder, "blockHeight")),
        next_epoch=None if length is None else slot - integer(index) + integer(length),
    )


def account(value: object) -> AccountView | None:
    """One account in ``base64``; null stands for an address that holds nothing."""
    if value is None:
        return None
    holder = mapping(value)
    return AccountView(
        lamports=integer(field(holder, "lamports")),
        owner=_pubkey(field(holder, "owner")),
        data=encoded(field(holder, "data")),
        executable=field(holder, "executable") is True,
    )


def _pubkey(value: object) -> Pubkey:
    address = text(value)
    try:
        return Pubkey.from_string(address)
    except ValueError:
        raise _unusable("an address", address) from None


def encoded(value: object) -> bytes:
    """``[data, "base64"]``."""
    pair = sequence(value)
    if len(pair) != 2 or pair[1] != "base64":
        raise _unusable("base64 data", value)
    try:
        return base64.b64decode(text(pair[0]), validate=True)
    except binascii.Error:
        raise _unusable("base64 data", value) from None


def status_report(answer: object, asked: int) -> StatusReport:
    """``getSignatureStatuses``, with exactly one entry for each of the ``asked`` signatures."""
    rows, slot = in_context(answer, sequence)
    if len(rows) != asked:
        raise SolanaError(f"Unusable answer: {len(rows)} statuses for {asked} signatures")
    return StatusReport(slot, tuple(_status(row) for row in rows))


def _status(row: object) -> SignatureStatus | None:
    if row is None:
        return None
    holder = mapping(row)
    level = field(holder, "confirmationStatus")
    if level is None and field(holder, "confirmations") is None:
        level = "finalized"  # what a null count has meant since before the field existed
    try:
        commitment = Commitment(text(level))
    except ValueError:
        raise _unusable("a commitment", level) from None
    return SignatureStatus(
        slot=integer(field(holder, "slot")), commitment=commitment, err=field(holder, "err")
    )


def simulation(answer: object, asked: int = 0) -> Simulation:
    """``simulateTransaction`` with ``innerInstructions``, and so many ``accounts``.

    A simulation that failed early measured nothing: its numbers may be null. One that succeeded
    must have them, because a limit computed from a missing number lands as a paid failure.
    """
    value, slot = in_context(answer, mapping)
    err = field(value, "err")
    units, loaded = value.get("unitsConsumed"), value.get("loadedAccountsDataSize")
    dated = value.get("replacementBlockhash")
    if err is not None:
        units, loaded = units or 0, loaded or 0
    return Simulation(
        slot=slot,
        err=err,
        failing_instruction=_failing_instruction(err),
        compute_units=integer(units),
        loaded_data_bytes=integer(loaded),
        logs=tuple(text(line) for line in sequence(value.get("logs") or [])),
        inner_instructions=_inner_counts(value.get("innerInstructions")),
        accounts=_left_behind(value, asked) if asked and err is None else (),
        blockhash=_blockhash(mapping(dated), slot) if dated is not None else None,
    )


def _left_behind(value: Json, asked: int) -> tuple[AccountView | None, ...]:
    rows = sequence(field(value, "accounts"))
    if len(rows) != asked:
        raise SolanaError(f"Unusable answer: {len(rows)} accounts for {asked} addresses")
    return tuple(account(row) for row in rows)


def _failing_instruction(err: object) -> int | None:
    if not isinstance(err, dict) or "InstructionError" not in err:
        return None
    detail = sequence(err["InstructionError"])
    return integer(detail[0]) if detail else None


def _inner_counts(value: object) -> tuple[tuple[int, int], ...]:
    rows = (mapping(row) for row in sequence(value or []))
    return tuple(
        (integer(field(row, "index")), len(sequence(field(row, "instructions")))) for row in rows
    )


def history(answer: object) -> tuple[HistoryEntry, ...]:
    """``getSignaturesForAddress``, newest first."""
    return tuple(_history_entry(mapping(row)) for row in sequence(answer))


def _history_entry(row: Json) -> HistoryEntry:
    memo = row.get("memo")
    return HistoryEntry(
        signature=text(field(row, "signature")),
        slot=integer(field(row, "slot")),
        err=field(row, "err"),
        memo=None if memo is None else text(memo),
    )


def landed(signature: str, answer: object) -> LandedTransaction | None:
    """``getTransaction`` in ``base64``; null stands for a transaction the node does not know."""
    if answer is None:
        return None
    holder = mapping(answer)
    meta = mapping(field(holder, "meta"))
    block_time = holder.get("blockTime")
    return LandedTransaction(
        signature=signature,
        slot=integer(field(holder, "slot")),
        err=field(meta, "err"),
        raw=encoded(field(holder, "transaction")),
        fee=integer(field(meta, "fee")),
        pre_balances=tuple(integer(n) for n in sequence(field(meta, "preBalances"))),
        post_balances=tuple(integer(n) for n in sequence(field(meta, "postBalances"))),
        block_time=None if block_time is None else integer(block_time),
        called=_called(meta.get("innerInstructions")),
        loaded_addresses=_loaded(meta.get("loadedAddresses")),
        token_owners=_token_owners(meta.get("postTokenBalances")),
    )


def _called(value: object) -> tuple[CalledInstruction, ...] | None:
    if value is None:
        return None
    return tuple(
        CalledInstruction(
            program=integer(field(row, "programIdIndex")),
            accounts=tuple(integer(index) for index in sequence(field(row, "accounts"))),
            data=_base58(text(field(row, "data"))),
        )
        for group in map(mapping, sequence(value))
        for row in map(mapping, sequence(field(group, "instructions")))
    )


def _loaded(value: object) -> tuple[Pubkey, ...]:
    if value is None:
        return ()
    holder = mapping(value)
    return tuple(
        _pubkey(address)
        for name in ("writable", "readonly")
        for address in sequence(field(holder, name))
    )


def _token_owners(value: object) -> tuple[tuple[int, Pubkey], ...]:
    rows = (mapping(row) for row in sequence(value or []))
    return tuple(
        (integer(field(row, "accountIndex")), _pubkey(row["owner"]))
        for row in rows
        if row.get("owner")
    )


_LETTERS = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


def _base58(letters: str) -> bytes:
    """Data of any length; solders reads base58 of keys, hashes and signatures only."""
    number = 0
    for letter in letters:
        digit = _LETTERS.find(letter)
        if digit < 0:
            raise _unusable("base58", letters)
        number = number * 58 + digit
    zeros = len(letters) - len(letters.lstrip("1"))
    return bytes(zeros) + number.to_bytes((number.bit_length() + 7) // 8, "big")


def token_amount(value: object) -> int:
    """A ``UiTokenAmount``'s base units, which JSON carries as a string."""
    amount = text(field(mapping(value), "amount"))
    if not amount.isdecimal():
        raise _unusable("an amount", amount)
    return integer(int(amount))


def _unusable(wanted: str, got: object) -> SolanaError:
    return SolanaError(f"Unusable answer: {wanted} was due, not {str(got)[:80]!r}")
