"""The receipt of one reading: what its owner needs to check the payment against any node.

One small JSON object (docs/receipts.md): the leaf, its path to the root, and the transaction whose
memo carries that root. Of the neighbours in the transaction it tells nothing but hashes. Nothing in
it is to be believed that the chain does not say, too. Pure: what a node answered comes in.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from types import MappingProxyType
from typing import Any
from uuid import UUID

from solders.pubkey import Pubkey

from minting.engine.audit import Contents
from minting.engine.audit_pack import codecs
from minting.engine.errors import ReceiptRefused
from minting.engine.receipts import leaf, root_from_path
from minting.engine.wallets import derived_token_address

FORMAT = "gridtoken/receipt"
VERSION = 1

MAX_SIZE = 2_048
"""Bytes; a reading among 5,000, the most that a transaction pays, has some 1,500."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """One reading that was paid, and the way from its leaf to the memo's root."""

    reading_id: UUID
    kwh_amount: Decimal
    """As the installation has it; the chain knows the base units alone."""
    wallet: str
    base_units: int
    batch_id: UUID
    """As the transaction's memo names it."""
    genesis_hash: str
    mint: str
    token_program: str
    signature: str
    index: int
    """The leaf's place among the transaction's, from 0."""
    tree_size: int
    path: tuple[bytes, ...]
    """From the leaf upwards."""

    @property
    def root(self) -> bytes:
        """What the path leads to.

        Raises:
            ReceiptRefused: No tree of this size has such a path.
        """
        paid = leaf(self.reading_id, Pubkey.from_string(self.wallet), self.base_units)
        try:
            return root_from_path(paid, self.index, self.tree_size, self.path)
        except ValueError as error:
            raise ReceiptRefused(str(error)) from None

    @property
    def token_account(self) -> Pubkey:
        """Where the wallet was paid."""
        return derived_token_address(
            Pubkey.from_string(self.wallet),
            Pubkey.from_string(self.mint),
            Pubkey.from_string(self.token_program),
        )


@dataclass(frozen=True, slots=True)
class Check:
    """One point of a receipt beside the chain."""

    name: str
    receipt: str
    chain: str
    agrees: bool


_CODECS: Mapping[str, codecs.Codec] = MappingProxyType(
    {
        "reading_id": codecs.ID,
        "kwh_amount": codecs.KWH,
        "wallet": codecs.ADDRESS,
        "base_units": codecs.UNITS,
        "batch_id": codecs.ID,
        "genesis_hash": codecs.ADDRESS,
        "mint": codecs.ADDRESS,
        "token_program": codecs.ADDRESS,
        "signature": codecs.SIGNATURE,
        "index": codecs.COUNT,
        "tree_size": codecs.COUNT,
    }
)


def write_receipt(receipt: Receipt) -> bytes:
    """The file, indented for people; a line feed at its end."""
    document: dict[str, Any] = {"format": FORMAT, "version": VERSION}
    for name, codec in _CODECS.items():
        document[name] = codec.write(getattr(receipt, name))
    document["path"] = [each.hex() for each in receipt.path]
    return json.dumps(document, indent=1).encode("ascii") + b"\n"


def read_receipt(file: bytes) -> Receipt:
    """A receipt as it was written; how it is indented does not matter.

    Raises:
        ReceiptRefused: It is none, of a version that is not known, or damaged.
    """
    if len(file) > 2 * MAX_SIZE:
        raise ReceiptRefused(f"it has more than {2 * MAX_SIZE} bytes")
    try:
        document = json.loads(file)
    except (ValueError, RecursionError):
        raise ReceiptRefused("it is not JSON") from None
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise ReceiptRefused(f"it is no {FORMAT}")
    if type(document.get("version")) is not int or document["version"] != VERSION:
        raise ReceiptRefused(f"its version is not known here, only {VERSION}")
    wanted = {"format", "version", "path", *_CODECS}
    if document.keys() != wanted:
        wrong = min(document.keys() ^ wanted)
        raise ReceiptRefused(f"{wrong[:40]!r} is missing, or does not belong there")
    values = {name: _read(name, codec, document[name]) for name, codec in _CODECS.items()}
    receipt = Receipt(**values, path=_path(document["path"]))
    _ = receipt.root  # a path that fits no tree is no receipt's
    return receipt


def _read(name: str, codec: codecs.Codec, written: Any) -> Any:
    try:
        value = codec.read(written)
        if codec.write(value) == written:
            return value
    except (ValueError, OverflowError):
        pass
    raise ReceiptRefused(f"{name!r} is not written as it must be")


def _path(written: Any) -> tuple[bytes, ...]:
    if not isinstance(written, list) or len(written) > 64:
        raise ReceiptRefused("'path' is not a list of hashes")
    return tuple(_read("path", codecs.ROOT, each) for each in written)


def check_receipt(
    receipt: Receipt, contents: Contents, *, genesis_hash: str, err: object | None
) -> Sequence[Check]:
    """A receipt beside its transaction, point by point; it holds where all agree.

    Args:
        receipt: What somebody was handed.
        contents: Of the finalized transaction with the receipt's signature.
        genesis_hash: Of the cluster that has it.
        err: How it ended; ``None``: well.
    """
    batch_id, root = contents.memo or (None, b"")
    minted = contents.by_account[receipt.token_account]
    return (
        Check("Cluster", receipt.genesis_hash, genesis_hash, receipt.genesis_hash == genesis_hash),
        Check("Ended without error", "yes", "yes" if err is None else str(err), err is None),
        Check(
            "Signed by who it says",
            receipt.signature,
            contents.signature,
            contents.signed and contents.signature == receipt.signature,
        ),
        Check(
            "Batch in the memo",
            str(receipt.batch_id),
            str(batch_id or "no memo of ours"),
            receipt.batch_id == batch_id,
        ),
        Check("Root of the readings", receipt.root.hex(), root.hex(), receipt.root == root),
        Check(
            f"Base units to {receipt.token_account}",
            f"{receipt.base_units:,} for this reading",
            f"{minted:,} for all of this wallet's readings",
            0 < receipt.base_units <= minted,
        ),
    )
