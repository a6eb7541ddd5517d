"""What only a node tells of a batch: how its transactions ended, and whether there are others.

And what a program did that somebody had mint. The bytes of such a transaction ask the program,
which calls the token program itself. What it was asked stands in the bytes: its call names the
mint, the token program and one token account that is due, and its data ends with the amount (u64,
little endian), as Anchor writes it. What it did about that stands in ``meta.innerInstructions``.
"""

from __future__ import annotations

import base64
import json
from collections import Counter

from chain import ALPHABET, Malformed, Unasked, base58, decode, made_at, memo_name

MINTED = {"confirmed", "finalized"}
TOKEN_PROGRAMS = (
    "TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA",
    "TokenzQdBNbLqP5VEhdkAS6EPFLC1PHnBqCXEpPxuEb",
)


def asked_of(call, mint: bytes, token_program: bytes, due):
    """(token account, base units) that a call of another program asks for, or None."""
    program, accounts, data = call
    meant = set(accounts) & set(due)
    plain = program in [base58(each, 32) for each in TOKEN_PROGRAMS]
    if plain or mint not in accounts or token_program not in accounts or len(meant) != 1:
        return None
    return (meant.pop(), int.from_bytes(data[-8:], "little")) if len(data) > 8 else None


def minted_inside(found: dict, keys, mint: bytes, token_program: bytes) -> Counter:
    """Base units by token account that programs created, as a node tells it.

    Raises KeyError, TypeError, ValueError or IndexError for an answer that cannot be read.
    """
    got: Counter = Counter()
    for group in found["meta"]["innerInstructions"]:
        for inner in group["instructions"]:
            accounts, data = [keys[each] for each in inner["accounts"]], any_base58(inner["data"])
            mints = data[:1] in (b"\x07", b"\x0e") and len(data) >= 9 and accounts[:1] == [mint]
            if keys[inner["programIdIndex"]] == token_program and mints:
                got[accounts[1]] += int.from_bytes(data[1:9], "little")
    return got


def any_base58(text: str) -> bytes:
    """Data of any length."""
    number = 0
    for letter in text:
        number = number * 58 + ALPHABET.index(letter)
    zeros = len(text) - len(text.lstrip("1"))
    return bytes(zeros) + number.to_bytes((number.bit_length() + 7) // 8, "big")


def told_by_chain(node, row: dict, raw: bytes, inside):
    """What the chain says otherwise than the pack; ``inside`` is what a program was to mint."""
    found, charged = node.transaction(row["signature"]), row["status"] in MINTED | {"failed"}
    if found is None:
        if charged:
            yield f"it is {row['status']}, and the node has it not: not final yet, or pruned there?"
        return
    try:
        meta = found["meta"]
        landed, slot = base64.b64decode(found["transaction"][0]), found["slot"]
        fee, error = meta["fee"], meta["err"]
        rent = meta["preBalances"][0] - meta["postBalances"][0] - fee
        minted = minted_inside(found, *inside[:3]) if inside and error is None else None
    except (KeyError, TypeError, ValueError, IndexError):
        raise Unasked(f"the node's answer about {row['signature']} cannot be read") from None
    if landed != raw:
        yield "the chain has other bytes under this signature"
    if not charged:
        yield f"it is {row['status']} in the pack, and landed in slot {slot}"
        return
    yield from told_by_outcome(row, slot, error)
    if fee != row["network_fee_lamports"] + row["priority_fee_lamports"]:
        yield f"the chain took {fee} lamports of fees, not what the pack says"
    if rent != row["rent_lamports"] and error is None:
        yield f"the chain took {rent} lamports of rent, the pack says {row['rent_lamports']}"
    if minted is not None and minted != inside[3]:
        yield f"the program minted {sum(minted.values())} base units, or to others than was asked"


def find_others(verifier) -> None:
    """Transactions of this batch that the pack keeps quiet about.

    Whoever minted, or paid a program to, signed every mint, so that its history names them all; it
    is complete where it names those that the pack has.
    """
    ours = [f"[70] gt1.{memo_name(batch)}." for batch in verifier.batches]
    begun, met = min(map(made_at, verifier.batches)), set()
    for address in sorted(verifier.authorities | verifier.payers) or [verifier.batch["mint"]]:
        for entry in verifier.node.history(address):
            if 0 < entry.time < begun:
                break
            met.add(entry.signature if entry.signature in verifier.final else None)
            known = entry.failed or entry.signature in verifier.signatures
            if known or not any(each in entry.memo for each in ours):
                continue
            if mints(verifier, entry.signature):  # anyone can write such a memo
                verifier.differ(f"{entry.signature} is on the chain, of this batch, and not listed")
    if verifier.final - met and not verifier.findings:
        raise Unasked("the node's history is cut off before this batch: ask another node")


def mints(verifier, signature: str) -> bool:
    try:
        found = verifier.node.transaction(signature)
        tx = decode(base64.b64decode(found["transaction"][0]))
        inside = minted_inside(found, tx.keys, verifier.mint, verifier.program)
    except Malformed:
        return False  # of a format that is never ours
    except (KeyError, TypeError, ValueError, IndexError):
        raise Unasked(f"the node's answer about {signature} cannot be read") from None
    return bool(inside) or any(
        program == verifier.program and accounts[:1] == [verifier.mint]
        for program, accounts, _ in tx.calls
    )


def told_by_outcome(row: dict, slot: int, error: object):
    if slot != row["slot"]:
        yield f"it landed in slot {slot}, not {row['slot']}"
    told = None if error is None else json.dumps(error, sort_keys=True)[:1_000]
    if told != row["error"]:
        yield f"it landed with error {told}, the pack says {row['error']}"
