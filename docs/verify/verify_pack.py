#!/usr/bin/env python3
"""Verifies an audit pack of a GridToken batch with Python's standard library alone.

    python3 verify_pack.py FILE [--rpc URL] [--program ADDRESS]

Offline: the file is whole and in its one form; every transaction's bytes are signed as they say;
the memo in these bytes holds the Merkle root of the readings listed; each wallet's token account
gets the sum of its readings; fees, counts and sums agree; no reading is paid twice. With --rpc any
public node is asked whether the chain has these bytes, with this outcome, slot and cost, and
whether it has other transactions of this batch, which the pack keeps quiet about. Where a program
minted (on_chain.py), only a node tells what it did; --program takes that program's word instead.

FILE may be - for standard input. Exits 0: verified, 1: differs, 2: could not be read or asked.
Wants chain.py, on_chain.py and pack_file.py beside it. docs/audit-pack.md describes the format.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import sys
from collections import Counter
from fractions import Fraction
from pathlib import Path

from chain import (
    ATA_PROGRAM,
    BUDGET_PROGRAM,
    LEAF_TAG,
    MEMO_PROGRAM,
    SIGNATURE_FEE,
    Malformed,
    Node,
    Tree,
    Unasked,
    base58,
    decode,
    memo_of,
    signed_by,
    to_base58,
    token_account,
)
from on_chain import MINTED, asked_of, find_others, told_by_chain
from pack_file import Refused, hexadecimal, lines, printable, tokens

MAX_TOLD = 50
STATUSES = MINTED | {"signed", "sent", "failed", "expired"}
ENDED, OPEN = {"failed", "cancelled"}, {"pending", "in_doubt"}


# ---------------------------------------------------------------- the checks


class Verifier:
    """Goes through a pack once; of the readings it keeps the ids alone."""

    def __init__(self, node: Node | None = None, trusted: str | None = None) -> None:
        self.node, self.trusted, self.findings = node, trusted, 0
        self.programs, self.payers, self.inside = set(), set(), None
        self.batch, self.row = {}, {}
        self.counts, self.sums = Counter(), Counter()
        self.paid, self.unpaid = set(), set()
        self.signatures, self.final, self.authorities = set(), set(), set()
        self.pending, self.batches = Counter(), set()
        self.least, self.most, self.odd = Fraction(0), None, ""  # base units for 10^-9 kWh
        self.digest = ""

    def differ(self, what: str) -> None:
        self.findings += 1
        if self.findings <= MAX_TOLD:
            print(f"differs   {printable(what)}")

    def run(self, stream) -> None:
        digest = hashlib.sha256()
        for number, kind, line in lines(stream, digest):
            if self.row and kind != "reading":
                self.close_transaction()
            self.counts[kind] += 1
            getattr(self, f"take_{kind}")(number, line)
        self.digest = digest.hexdigest()
        self.check_end(number, line)
        self.check_batch()
        if self.node:
            find_others(self)

    def take_batch(self, number: int, line: dict) -> None:
        self.batch = line
        self.mint, self.program = base58(line["mint"], 32), base58(line["token_program"], 32)
        self.batches = {hexadecimal(each) for each in (line["id"], line["retry_of"]) if each}
        if self.node:
            found = self.node.ask("getGenesisHash")
            if found != line["genesis_hash"]:
                self.differ(
                    f"the pack is of the cluster {line['genesis_hash']}, the node of {found}"
                )

    def take_transaction(self, number: int, line: dict) -> None:
        self.row, self.tree, self.due, self.seen, self.last = line, Tree(), Counter(), 0, ""
        if line["signature"] in self.signatures:
            self.differ(f"line {number}: {line['signature']} is listed twice")
        self.signatures.add(line["signature"])

    def take_reading(self, number: int, line: dict) -> None:
        if not self.row or line["index"] != self.seen:
            raise Refused(f"line {number}: a reading that no transaction announces here")
        if line["id"] <= self.last:
            self.differ(f"line {number}: readings are not in the order of their ids")
        units, wallet = int(line["base_units"]), base58(line["wallet"], 32)
        id_ = bytes.fromhex(hexadecimal(line["id"]))
        self.tree.add(LEAF_TAG + id_ + wallet + units.to_bytes(8, "big"))
        self.due[wallet] += units
        self.take_rate(number, line)
        self.seen, self.last = self.seen + 1, line["id"]
        if self.row["status"] in MINTED:
            if id_ in self.paid:
                self.differ(f"line {number}: reading {line['id']} is paid twice")
            self.paid.add(id_)

    def take_rate(self, number: int, line: dict) -> None:
        """All readings of a batch earn by one rate, rounded down: some rate must fit them all."""
        units, nano_kwh = int(line["base_units"]), int(line["kwh"].replace(".", ""))
        least, most = self.least, self.most
        if nano_kwh:
            least = max(least, Fraction(units, nano_kwh))
            most = min(filter(None, (most, Fraction(units + 1, nano_kwh))))
        if (units and not nano_kwh) or (most and least >= most):
            what = f"{line['kwh']} kWh and {units} base units are of another rate than those before"
            self.odd = self.odd or f"line {number}: {what}"
        else:
            self.least, self.most = least, most

    def take_unpaid(self, number: int, line: dict) -> None:
        id_ = bytes.fromhex(hexadecimal(line["id"]))
        if id_ in self.paid or id_ in self.unpaid:
            self.differ(f"line {number}: reading {line['id']} is paid, or told twice")
        self.unpaid.add(id_)
        if line["status"] not in ENDED | OPEN or (line["status"] in ENDED and not line["code"]):
            self.differ(f"line {number}: reading {line['id']} is unpaid without a reason")
        self.pending[line["status"] in OPEN] += 1
        self.take_rate(number, line)

    def take_excluded(self, number: int, line: dict) -> None:
        if not line["code"]:
            self.differ(f"line {number}: reading {line['id']} is left out without a reason")

    def take_end(self, number: int, line: dict) -> None:
        self.end = line

    def close_transaction(self) -> None:
        row, self.row = self.row, {}
        raw, self.inside = base64.b64decode(row["raw"]), None
        try:
            found = [*self.told_by_bytes(row, raw), *self.told_by_status(row)]
        except Malformed as error:
            found = [str(error)]
        if self.seen != row["readings"]:
            found.append(f"{self.seen} of its {row['readings']} readings are listed")
        if self.node:
            found += told_by_chain(self.node, row, raw, self.inside)
        if row["status"] == "finalized":
            self.final.add(row["signature"])
        for what in found:
            self.differ(f"{row['signature']}: {what}")
        if row["status"] in MINTED:
            self.sums["units"] += int(row["base_units"])
            self.sums["rent"] += row["rent_lamports"]
        if row["status"] in MINTED | {"failed"}:
            self.sums["fees"] += row["network_fee_lamports"] + row["priority_fee_lamports"]

    def told_by_bytes(self, row: dict, raw: bytes):
        """What the bytes, decoded, say otherwise than the lines."""
        tx = decode(raw)
        stated = {
            "version": tx.version,
            "signature": to_base58(tx.signatures[0]),
            "fee_payer": to_base58(tx.keys[0]),
            "blockhash": to_base58(tx.blockhash),
            "network_fee_lamports": SIGNATURE_FEE * len(tx.signatures),
            "priority_fee_lamports": tx.asked,
        }
        for name, due in stated.items():
            if row[name] != due:
                yield f"{name} is {row[name]}, its bytes say {due}"
        for key, signature in zip(tx.keys, tx.signatures, strict=False):
            if not signed_by(key, tx.message, signature):
                yield f"its bytes are not signed by {to_base58(key)}"
        yield from self.told_by_memo(row, tx)
        yield from self.told_by_mints(row, tx)

    def told_by_memo(self, row: dict, tx):
        memos = [data for program, _, data in tx.calls if program == base58(MEMO_PROGRAM, 32)]
        memo = memo_of(memos[0].decode("ascii", "replace")) if len(memos) == 1 else None
        if memo is None:
            yield "its bytes do not carry one memo of ours"
            return
        if memo != (hexadecimal(row["memo_batch"]), row["memo_root"]):
            yield "memo_batch or memo_root are not those in its bytes"
        if memo[0] not in self.batches:
            yield "its memo names another batch"
        if memo[1] != self.tree.root().hex():
            yield "the root in its memo is not that of the readings listed"

    def told_by_mints(self, row: dict, tx):
        """The bytes create units for the token accounts of the wallets listed, and do no more."""
        got, due = Counter(), Counter()
        for wallet, units in self.due.items():
            due[token_account(wallet, self.program, self.mint)] += units
        yield from self.told_by_calls(tx, got, due)
        if got != due:
            wrong = next(each for each in {**due, **got} if got[each] != due[each])
            yield (
                f"token account {to_base58(wrong)} gets {got[wrong]} base units, "
                f"its readings say {due[wrong]}"
            )
        if sum(got.values()) != int(row["base_units"]):
            yield f"base_units is {row['base_units']}, its bytes mint {sum(got.values())}"
        created = sum(program == base58(ATA_PROGRAM, 32) for program, _, _ in tx.calls)
        if row["new_accounts"] > created or (row["rent_lamports"] and not created):
            yield f"new_accounts and rent do not fit the {created} accounts that its bytes create"

    def told_by_calls(self, tx, got: Counter, due: Counter):
        """Adds up what is minted; everything else that ours would not call is strange."""
        harmless = {base58(each, 32) for each in (ATA_PROGRAM, MEMO_PROGRAM, BUDGET_PROGRAM)}
        for program, accounts, data in tx.calls:
            if program in harmless:
                continue
            asked = asked_of((program, accounts, data), self.mint, self.program, due)
            if program != self.program and asked:
                got[asked[0]] += asked[1]
                self.programs.add(to_base58(program))
                self.payers.add(to_base58(tx.keys[0]))
                self.inside = tx.keys, self.mint, self.program, due
                continue
            if program != self.program:
                yield f"its bytes call {to_base58(program)}"
                continue
            checked = data[:1] == b"\x0e" and list(data[9:]) == [self.batch["decimals"]]
            plain = data[:1] == b"\x07" and len(data) == 9
            if not (checked or plain) or len(accounts) < 3 or accounts[0] != self.mint:
                yield "its bytes ask the token program for something else than minting"
                continue
            got[accounts[1]] += int.from_bytes(data[1:9], "little")
            self.authorities.add(to_base58(accounts[2]))
            if accounts[2] not in tx.keys[: len(tx.signatures)]:
                yield f"its bytes are not signed by {to_base58(accounts[2])}, the mint authority"

    def told_by_status(self, row: dict):
        status = row["status"]
        if status not in STATUSES:
            yield f"no transaction is {status}"
        if status in MINTED and (row["slot"] is None or row["error"] is not None):
            yield f"it is {status}, with an error or without a slot"
        if status == "failed" and (row["slot"] is None or row["error"] is None):
            yield "it failed, without an error or a slot"

    def check_end(self, number: int, line: dict) -> None:
        due = {
            "lines": number,
            "transactions": self.counts["transaction"],
            "paid": len(self.paid),
            "unpaid": self.counts["unpaid"],
            "excluded": self.counts["excluded"],
            "base_units_paid": str(self.sums["units"]),
            "fee_paid_lamports": self.sums["fees"],
            "rent_paid_lamports": self.sums["rent"],
            "digest": self.digest,
        }
        for name, value in due.items():
            if line[name] != value:
                self.differ(f"the end says {name} {line[name]}, the lines before it {value}")

    def check_batch(self) -> None:
        due = {
            "successful_mints": len(self.paid),
            "failed_mints": self.pending[False],
            "total_readings": len(self.paid) + self.counts["unpaid"],
            "fee_paid_lamports": self.sums["fees"],
            "rent_paid_lamports": self.sums["rent"],
        }
        for name, value in due.items():
            if self.batch[name] != value:
                self.differ(f"the batch says {name} {self.batch[name]}, its lines {value}")
        if self.odd:
            self.differ(self.odd)
        if len(self.authorities) > 1:
            self.differ(f"several authorities minted: {', '.join(sorted(self.authorities))}")


# ---------------------------------------------------------------- the answer


def tell(verifier: Verifier) -> None:
    batch, end = verifier.batch, verifier.end
    by = batch["requested_by"] or "nobody known"
    print(f"pack      {end['lines']} lines, SHA-256 {verifier.digest}")
    print(printable(f"batch     {batch['id']} {batch['status']}, asked for by {by}"), end="")
    print(printable(f" ({batch['source']}), approved by {batch['approved_by'] or 'nobody'}"))
    print(f"mint      {batch['mint']} of the cluster {batch['genesis_hash']}")
    if verifier.programs:
        print(f"program   {', '.join(sorted(verifier.programs))} was asked to mint")
    else:
        print(f"authority {', '.join(sorted(verifier.authorities)) or 'nothing was minted'}")
    paid = tokens(int(end["base_units_paid"]), min(batch["decimals"], 255))
    print(f"readings  {end['paid']} paid, {end['unpaid']} not, {end['excluded']} left out", end="")
    print(f"; {end['transactions']} transactions, {paid} tokens")
    print(f"cost      {end['fee_paid_lamports']} lamports of fees,", end="")
    print(f" {end['rent_paid_lamports']} of rent")
    node = verifier.node
    print(f"chain     {f'asked at {node.name}' if node else 'not asked; --rpc URL asks a node'}")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("file", help="the pack; - for standard input")
    parser.add_argument("--rpc", metavar="URL", help="a Solana node, to be asked as well")
    parser.add_argument("--program", metavar="ADDRESS", help="a program whose word is taken")
    options = parser.parse_args(arguments)
    try:
        verifier = Verifier(Node(options.rpc) if options.rpc else None, options.program)
        with sys.stdin.buffer if options.file == "-" else Path(options.file).open("rb") as stream:
            verifier.run(stream)
    except (Refused, Malformed) as error:
        print(f"REFUSED: {printable(error)}")
        return 1
    except (Unasked, OSError) as error:
        print(f"UNVERIFIED: {printable(error)}")
        return 2
    tell(verifier)
    if verifier.findings:
        print(f"DIFFERS: {verifier.findings} differences")
        return 1
    if not verifier.node and verifier.programs - {verifier.trusted}:
        print("UNVERIFIED: what a program minted only a node tells: --rpc URL asks one")
        return 2
    print("VERIFIED")
    return 0


if __name__ == "__main__":
    sys.exit(main())
