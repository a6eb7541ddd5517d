#!/usr/bin/env python3
"""Verifies the receipt of one reading against any Solana node, by Python's standard library alone.

    python3 verify_receipt.py FILE --rpc URL

The receipt names a transaction, a reading, a wallet and an amount. The node is asked for that
transaction, and then: it is on the cluster named, ended without error, is signed by who pays for
it; its memo carries a Merkle root, and the reading's leaf with its path leads to just this root;
and the wallet's token account got at least the reading's base units (more where other readings of
the same wallet are paid with it). Nobody but the node has to be believed; ask another one, too.

Exits 0: verified, 1: differs, 2: could not be read or asked. Wants chain.py and on_chain.py beside
it. docs/receipts.md describes the format.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import sys
import uuid
from pathlib import Path

from chain import (
    LEAF_TAG,
    MEMO_PROGRAM,
    Malformed,
    Node,
    Unasked,
    base58,
    decode,
    memo_of,
    signed_by,
    to_base58,
    token_account,
)
from on_chain import minted_inside

FIELDS = {
    "format", "version", "reading_id", "kwh_amount", "wallet", "base_units", "batch_id",
    "genesis_hash", "mint", "token_program", "signature", "index", "tree_size", "path",
}  # fmt: skip
MAX_SIZE = 4_096


def read(data: bytes) -> dict:
    """The receipt, whole and well formed."""
    if len(data) > MAX_SIZE:
        raise Malformed("the file is larger than any receipt")
    try:
        receipt = json.loads(data)
    except (ValueError, RecursionError):
        raise Malformed("the file is not JSON") from None
    if not isinstance(receipt, dict) or receipt.get("format") != "gridtoken/receipt":
        raise Malformed("the file is no gridtoken/receipt")
    if type(receipt.get("version")) is not int or receipt["version"] != 1:
        raise Malformed("its version is not known here, only 1")
    if receipt.keys() != FIELDS:
        raise Malformed(f"{min(receipt.keys() ^ FIELDS)!r} is missing, or does not belong there")
    numbers = {"version", "index", "tree_size", "path"}
    if not all(isinstance(receipt[name], str) for name in FIELDS - numbers):
        raise Malformed("a field is not the text that it must be")
    if not isinstance(receipt["path"], list):
        raise Malformed("its path is no list")
    return receipt


def root_of(receipt: dict) -> bytes:
    """Where the reading's leaf and its path lead (RFC 6962)."""
    try:
        units = int(receipt["base_units"])
        leaf = (
            LEAF_TAG
            + uuid.UUID(receipt["reading_id"]).bytes
            + base58(receipt["wallet"], 32)
            + units.to_bytes(8, "big")
        )
        path = [bytes.fromhex(each) for each in receipt["path"]]
        index, size = receipt["index"], receipt["tree_size"]
    except (ValueError, OverflowError, TypeError, AttributeError):
        raise Malformed("a field is not what it must be") from None
    if type(index) is not int or type(size) is not int or not 0 <= index < size < 2**32:
        raise Malformed("index and tree_size fit no tree")
    if any(len(each) != 32 for each in path):
        raise Malformed("its path is not of hashes")
    return climb(hashlib.sha256(b"\0" + leaf).digest(), index, size, path)


def climb(leaf: bytes, index: int, size: int, path: list) -> bytes:
    if size == 1 or not path:
        if size > 1 or path:
            raise Malformed("its path does not fit its tree")
        return leaf
    split = 1 << (size - 1).bit_length() - 1
    if index < split:
        pair = climb(leaf, index, split, path[:-1]) + path[-1]
    else:
        pair = path[-1] + climb(leaf, index - split, size - split, path[:-1])
    return hashlib.sha256(b"\1" + pair).digest()


def differences(receipt: dict, node: Node):
    """What the node says otherwise than the receipt."""
    root = root_of(receipt)
    if node.ask("getGenesisHash") != receipt["genesis_hash"]:
        yield "the node is on another cluster than the receipt names"
        return
    found = node.transaction(receipt["signature"])
    if found is None:
        yield "the node has no finalized transaction with this signature: pruned there, or none"
        return
    try:
        raw, error = base64.b64decode(found["transaction"][0]), found["meta"]["err"]
        tx = decode(raw)
        mint, program = base58(receipt["mint"], 32), base58(receipt["token_program"], 32)
        inside = minted_inside(found, tx.keys, mint, program)
    except (KeyError, TypeError, ValueError, IndexError):
        raise Unasked("the node's answer cannot be read") from None
    if error is not None:
        yield f"the transaction ended with error {json.dumps(error)}: it paid nobody"
    pairs = zip(tx.keys, tx.signatures, strict=False)
    if not all(signed_by(key, tx.message, signature) for key, signature in pairs):
        yield "the node's bytes are not signed by their signers"
    if to_base58(tx.signatures[0]) != receipt["signature"]:
        yield "the node's bytes have another signature"
    memos = [data for called, _, data in tx.calls if called == base58(MEMO_PROGRAM, 32)]
    memo = memo_of(memos[0].decode("ascii", "replace")) if len(memos) == 1 else None
    if memo is None or memo[0] != receipt["batch_id"].replace("-", ""):
        yield "its memo is none of ours, or names another batch"
    if memo is None or memo[1] != root.hex():
        yield "the reading is not among those whose root its memo carries"
    account = token_account(base58(receipt["wallet"], 32), program, mint)
    got = inside[account] + minted_directly(tx, account, mint, program)
    if not 0 < int(receipt["base_units"]) <= got:
        yield f"it minted {got} base units to the wallet's token account {to_base58(account)}"


def minted_directly(tx, account: bytes, mint: bytes, program: bytes) -> int:
    """Base units that its own MintTo and MintToChecked create for an account."""
    return sum(
        int.from_bytes(data[1:9], "little")
        for called, accounts, data in tx.calls
        if called == program and data[:1] in (b"\x07", b"\x0e") and accounts[:2] == [mint, account]
    )


def main() -> int:
    parser = argparse.ArgumentParser(description="Verifies a GridToken receipt.")
    parser.add_argument("file", help="the receipt; - for standard input")
    parser.add_argument("--rpc", required=True, help="URL of any Solana node")
    chosen = parser.parse_args()
    try:
        data = sys.stdin.buffer.read() if chosen.file == "-" else Path(chosen.file).read_bytes()
        receipt = read(data)
        found = list(differences(receipt, Node(chosen.rpc)))
    except (Malformed, ValueError) as error:
        print(f"differs   {error}")
        return 1
    except (Unasked, OSError) as error:
        print(f"unknown   {error}")
        return 2
    for what in found:
        print(f"differs   {what}")
    if not found:
        print(f"verified  {receipt['base_units']} base units for reading {receipt['reading_id']}")
        print(f"          to wallet {receipt['wallet']}")
        print(f"          in transaction {receipt['signature']}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
