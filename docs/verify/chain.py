"""What the verifying programs here share: addresses, signatures, trees, transactions, a node.

Python's standard library alone. Written from the public descriptions, not from this project's code:
RFC 8032 (Ed25519), RFC 6962 (trees), SIMD-0385 (transactions of version 1), Solana's JSON-RPC.
"""

from __future__ import annotations

import base64
import hashlib
import json
import time
import urllib.error
import urllib.parse
import urllib.request
from collections import namedtuple

ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
ATA_PROGRAM = "ATokenGPvbdGVxr1b2hvZbsiqW5xWH25efTNsLJA8knL"
MEMO_PROGRAM = "MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr"
BUDGET_PROGRAM = "ComputeBudget111111111111111111111111111111"
LEAF_TAG = b"gridtokenx/receipt/1\x00"
SIGNATURE_FEE = 5_000
"""Lamports that the network takes for each signature."""

Decoded = namedtuple("Decoded", "version signatures message keys blockhash calls asked")
Entry = namedtuple("Entry", "signature failed memo time")

TRIES, PAUSE, PATIENCE = 5, 1.0, 30
MAX_ANSWER = 16 * 1024 * 1024


class Malformed(Exception):
    """Bytes or text that are not what they should be."""


class Unasked(Exception):
    """The file cannot be read, or the node gives no usable answer."""


# ---------------------------------------------------------------- base58, Ed25519, addresses


def base58(text: str, size: int) -> bytes:
    number = 0
    for letter in text:
        number = number * 58 + ALPHABET.index(letter)
    zeros = len(text) - len(text.lstrip("1"))
    data = bytes(zeros) + number.to_bytes((number.bit_length() + 7) // 8, "big")
    if len(data) != size:
        raise Malformed(f"{text} is not {size} bytes of base58")
    return data


def to_base58(data: bytes) -> str:
    number, letters = int.from_bytes(data, "big"), ""
    while number:
        number, digit = divmod(number, 58)
        letters = ALPHABET[digit] + letters
    return "1" * (len(data) - len(data.lstrip(b"\0"))) + letters


P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P
ROOT_OF_MINUS_1 = pow(2, (P - 1) // 4, P)


def point(data: bytes):
    """The point that 32 bytes compress (RFC 8032, 5.1.3), or None if they are not on the curve."""
    y = int.from_bytes(data, "little") & (2**255 - 1)
    u, v = y * y - 1, D * y * y + 1
    x = u * v**3 * pow(u * v**7, (P - 5) // 8, P) % P
    if (v * x * x - u) % P:
        x = x * ROOT_OF_MINUS_1 % P
    if (v * x * x - u) % P:
        return None
    if x % 2 != data[31] >> 7:
        x = -x % P
    return x, y % P, 1, x * y % P


def add(left, right):
    """Addition in extended coordinates (RFC 8032, 5.1.4)."""
    a = (left[1] - left[0]) * (right[1] - right[0]) % P
    b = (left[1] + left[0]) * (right[1] + right[0]) % P
    c, d = 2 * left[3] * right[3] * D % P, 2 * left[2] * right[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % P, g * h % P, f * g % P, e * h % P


BASE = point(bytes([0x58]) + b"\x66" * 31)


def signed_by(key: bytes, message: bytes, signature: bytes) -> bool:
    """Whether this is the key's Ed25519 signature: s * B - k * A is R."""
    s, public = int.from_bytes(signature[32:], "little"), point(key)
    if public is None or s >= ORDER:
        return False
    k = int.from_bytes(hashlib.sha512(signature[:32] + key + message).digest(), "little") % ORDER
    minus = -public[0] % P, public[1], 1, -public[3] % P
    both, total = add(BASE, minus), (0, 1, 1, 0)
    for bit in reversed(range(253)):
        total = add(total, total)
        of_s, of_k = s >> bit & 1, k >> bit & 1
        if of_s or of_k:
            total = add(total, both if of_s and of_k else BASE if of_s else minus)
    inverse = pow(total[2], -1, P)
    x, y = total[0] * inverse % P, total[1] * inverse % P
    return (y | (x & 1) << 255).to_bytes(32, "little") == signature[:32]


def token_account(wallet: bytes, token_program: bytes, mint: bytes) -> bytes:
    """The associated token account: the first such hash that is no point of the curve."""
    for bump in range(255, -1, -1):
        seeds = wallet + token_program + mint + bytes([bump])
        address = hashlib.sha256(
            seeds + base58(ATA_PROGRAM, 32) + b"ProgramDerivedAddress"
        ).digest()
        if point(address) is None:
            return address
    raise Malformed(f"{to_base58(wallet)} has no token account")


class Tree:
    """RFC 6962: the root over leaves that come one by one."""

    def __init__(self) -> None:
        self.full: list = []  # (leaves below, hash) of whole subtrees, the largest first

    def add(self, leaf: bytes) -> None:
        self.full.append((1, hashlib.sha256(b"\0" + leaf).digest()))
        while len(self.full) > 1 and self.full[-1][0] == self.full[-2][0]:
            self._join()

    def root(self) -> bytes:
        while len(self.full) > 1:
            self._join()
        return self.full[0][1] if self.full else hashlib.sha256().digest()

    def _join(self) -> None:
        (left_size, left), (right_size, right) = self.full[-2:]
        self.full[-2:] = [(left_size + right_size, hashlib.sha256(b"\1" + left + right).digest())]


# ---------------------------------------------------------------- what the bytes say


class Bytes:
    """Bytes taken from the front."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def take(self, count: int) -> bytes:
        self.at += count
        if self.at > len(self.data):
            raise Malformed("its bytes are cut off")
        return self.data[self.at - count : self.at]

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "little")

    def short(self) -> int:
        """Solana's compact-u16."""
        value = 0
        for place in range(3):
            byte = self.number(1)
            value |= (byte & 127) << 7 * place
            if byte < 128:
                return value
        raise Malformed("its bytes hold a length of more than 16 bits")


def decode(raw: bytes) -> Decoded:
    """A transaction of version 0 or 1 (SIMD-0385), to its last byte."""
    source = Bytes(raw)
    decoded = decode_1(source) if raw[:1] == b"\x81" else decode_0(source)
    if source.at != len(raw):
        raise Malformed("its bytes are followed by others")
    if not 0 < len(decoded.signatures) <= len(decoded.keys):
        raise Malformed("its bytes are not signed")
    return decoded


def decode_0(source: Bytes) -> Decoded:
    signatures = [source.take(64) for _ in range(source.short())]
    start = source.at
    if source.number(1) != 0x80 or source.number(1) != len(signatures):
        raise Malformed("its bytes are no transaction of version 0 or 1")
    source.take(2)  # how many accounts are only read: nothing here depends on it
    keys = [source.take(32) for _ in range(source.short())]
    blockhash = source.take(32)
    calls = []
    for _ in range(source.short()):
        program, accounts = source.number(1), source.take(source.short())
        calls.append(call(keys, program, accounts, source.take(source.short())))
    if source.short():
        raise Malformed("its bytes use a lookup table")
    message, asked = source.data[start : source.at], {}
    for program, _, data in calls:
        if program == base58(BUDGET_PROGRAM, 32):
            asked[data[:1]] = int.from_bytes(data[1:], "little")
    free = sum(each[0] != base58(BUDGET_PROGRAM, 32) for each in calls)
    units = asked.get(b"\x02", min(1_400_000, 200_000 * free))
    fee = -(-asked.get(b"\x03", 0) * units // 1_000_000)
    return Decoded("0", signatures, message, keys, blockhash, calls, fee)


def decode_1(source: Bytes) -> Decoded:
    source.take(1)
    signers = source.number(1)
    source.take(2)
    mask, blockhash = source.number(4), source.take(32)
    count, keys = source.number(1), [source.take(32) for _ in range(source.number(1))]
    if mask & 3 not in (0, 3) or mask >> 5:
        raise Malformed("its bytes have a config that is not known here")
    fee = source.number(8) if mask & 3 else 0
    source.take(4 * (mask >> 2).bit_count())
    heads = [(source.number(1), source.number(1), source.number(2)) for _ in range(count)]
    calls = [
        call(keys, program, source.take(accounts), source.take(size))
        for program, accounts, size in heads
    ]
    message = source.data[: source.at]
    return Decoded(
        "1", [source.take(64) for _ in range(signers)], message, keys, blockhash, calls, fee
    )


def call(keys, program: int, accounts: bytes, data: bytes):
    """(program, its accounts, data), with addresses for their numbers."""
    if program >= len(keys) or any(each >= len(keys) for each in accounts):
        raise Malformed("its bytes name an account that they do not have")
    return keys[program], [keys[each] for each in accounts], data


def memo_of(text: str):
    """(batch id, root) in hexadecimal of a memo of ours, else None."""
    try:
        batch, root = (
            base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)).hex()
            for part in text.removeprefix("gt1.").split(".")
        )
    except ValueError:
        return None
    # Strict: another way to write the same is not ours.
    ours = (len(batch), len(root)) == (32, 64)
    return (batch, root) if ours and text == f"gt1.{memo_name(batch)}.{memo_name(root)}" else None


def memo_name(digits: str) -> str:
    """A batch's id, or a root, as memos write it."""
    return base64.urlsafe_b64encode(bytes.fromhex(digits)).decode().rstrip("=")


def made_at(batch: str) -> int:
    """Unix seconds that a UUIDv7 holds, less an hour for clocks that differ; 0 for another id."""
    return int(batch[:12], 16) // 1000 - 3_600 if batch[12] == "7" else 0


# ---------------------------------------------------------------- a node


class Node:
    """A Solana node's JSON-RPC; asks again when the node is busy."""

    def __init__(self, url: str) -> None:
        if not url.startswith(("http://", "https://")):
            raise Unasked("a node has an http or https URL")
        self.url = url
        self.name = urllib.parse.urlsplit(url).netloc.rpartition("@")[2]

    def ask(self, method: str, *params):
        """The ``result`` of one call."""
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
        request = urllib.request.Request(  # noqa: S310 - http and https alone
            self.url, body, {"Content-Type": "application/json"}
        )
        for left in reversed(range(TRIES)):
            try:
                with urllib.request.urlopen(request, timeout=PATIENCE) as answer:  # noqa: S310
                    told = json.loads(answer.read(MAX_ANSWER))
                return told["result"]
            except urllib.error.HTTPError as error:
                if not left or error.code not in (429, 500, 502, 503, 504):
                    raise Unasked(f"the node answers {method} with HTTP {error.code}") from error
                time.sleep(pause_of(error.headers.get("Retry-After")))
            except (KeyError, TypeError, ValueError):
                raise Unasked(f"the node refuses {method}, or answers no JSON-RPC") from None
            except OSError as error:
                if not left:
                    raise Unasked(f"the node cannot be asked: {error}") from error
                time.sleep(PAUSE)
        raise Unasked("the node cannot be asked")

    def transaction(self, signature: str):
        """``getTransaction`` at ``finalized``: slot, transaction and meta; None if unknown."""
        return self.ask(
            "getTransaction",
            signature,
            {
                "encoding": "base64",
                "commitment": "finalized",
                "maxSupportedTransactionVersion": 1,
            },
        )

    def history(self, address: str):
        """``Entry`` of each row of ``getSignaturesForAddress`` at ``finalized``, newest first."""
        options = {"limit": 1_000, "commitment": "finalized"}
        while page := self.ask("getSignaturesForAddress", address, options):
            try:
                entries = [
                    Entry(
                        str(row["signature"]),
                        row["err"] is not None,
                        str(row.get("memo") or ""),
                        int(row.get("blockTime") or 0),
                    )
                    for row in page
                ]
            except (KeyError, TypeError, ValueError, AttributeError):
                raise Unasked("the node's history cannot be read") from None
            if entries[-1].signature == options.get("before"):
                raise Unasked("the node does not page its history backwards")
            yield from entries
            options["before"] = entries[-1].signature
        if page != []:
            raise Unasked("the node's history cannot be read")


def pause_of(header) -> float:
    """Seconds of a ``Retry-After``, a minute at most."""
    try:
        return min(max(float(header), PAUSE), 60.0)
    except (TypeError, ValueError):
        return PAUSE
