"""What the chain remembers of a transaction: one memo with the root of an RFC 6962 tree.

::

    leaf data   "gridtokenx/receipt/1" 0x00 | reading id (16) | wallet (32) | base units (u64 BE)
    leaf        SHA-256(0x00 | leaf data)
    node        SHA-256(0x01 | left | right)       split at the largest power of two below n
    memo        "gt1." base64url(batch id) "." base64url(root)       70 bytes, unpadded

Leaves are ordered by the bytes of their reading ids. The tree functions take leaf *hashes* and
know nothing of readings, so that the public RFC 6962 vectors hold for them.
"""

from __future__ import annotations

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from hashlib import sha256
from uuid import UUID

from solders.pubkey import Pubkey

from minting.engine.types import PlannedTransaction

LEAF_TAG = b"gridtokenx/receipt/1\x00"
MEMO_PREFIX = "gt1"
MEMO_LENGTH = 70
"""Bytes of every memo; all of them ASCII."""


def leaf_data(reading_id: UUID, wallet: Pubkey, base_units: int) -> bytes:
    """What a leaf hashes: 77 bytes that name reading, wallet and base units.

    Raises:
        OverflowError: If ``base_units`` does not fit a u64.
    """
    return LEAF_TAG + reading_id.bytes + bytes(wallet) + base_units.to_bytes(8, "big")


def leaf(reading_id: UUID, wallet: Pubkey, base_units: int) -> bytes:
    """The leaf hash (32 bytes) of one reading paid.

    Raises:
        OverflowError: If ``base_units`` does not fit a u64.
    """
    return leaf_hash(leaf_data(reading_id, wallet, base_units))


def leaf_hash(data: bytes) -> bytes:
    """``SHA-256(0x00 | data)`` (RFC 6962, section 2.1)."""
    return sha256(b"\x00" + data).digest()


def merkle_root(leaves: Sequence[bytes]) -> bytes:
    """The Merkle tree hash over leaf hashes (RFC 6962, section 2.1)."""
    if not leaves:
        return sha256().digest()
    if len(leaves) == 1:
        return leaves[0]
    split = _split_point(len(leaves))
    return _node(merkle_root(leaves[:split]), merkle_root(leaves[split:]))


def inclusion_path(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """The audit path of one leaf, from the leaf upwards (RFC 6962, section 2.1.1).

    Raises:
        IndexError: If there is no such leaf.
    """
    if not 0 <= index < len(leaves):
        raise IndexError(f"no leaf {index} in a tree of {len(leaves)}")
    if len(leaves) == 1:
        return []
    split = _split_point(len(leaves))
    if index < split:
        return [*inclusion_path(leaves[:split], index), merkle_root(leaves[split:])]
    return [*inclusion_path(leaves[split:], index - split), merkle_root(leaves[:split])]


def root_from_path(leaf_hash: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes:
    """The root that a leaf's path leads to; equal to the tree's root if the leaf is in it.

    Args:
        leaf_hash: Hash of the leaf.
        index: Its place, from 0.
        size: Number of leaves of the tree.
        path: Audit path from the leaf upwards.

    Raises:
        ValueError: If no tree of this size has such a path for this place.
    """
    if not 0 <= index < size:
        raise ValueError(f"no leaf {index} in a tree of {size}")
    if size == 1:
        if path:
            raise ValueError("the path is longer than the tree is high")
        return leaf_hash
    if not path:
        raise ValueError("the path is shorter than the tree is high")
    split = _split_point(size)
    if index < split:
        return _node(root_from_path(leaf_hash, index, split, path[:-1]), path[-1])
    return _node(path[-1], root_from_path(leaf_hash, index - split, size - split, path[:-1]))


def plan_leaves(plan: PlannedTransaction) -> list[bytes]:
    """Leaf hashes of everything a transaction pays, ordered by the bytes of the reading ids."""
    paid = sorted(
        (
            (payment.reading_id, destination.group.wallet, payment.base_units)
            for destination in plan.destinations
            for payment in destination.group.payments
        ),
        key=lambda entry: entry[0].bytes,
    )
    return [leaf(*entry) for entry in paid]


def plan_root(plan: PlannedTransaction) -> bytes:
    """The root (32 bytes) that the transaction's memo carries."""
    return merkle_root(plan_leaves(plan))


def memo_text(batch_id: UUID, root: bytes) -> str:
    """The memo of a transaction, 70 bytes of ASCII.

    Raises:
        ValueError: If the root is not 32 bytes long.
    """
    if len(root) != 32:
        raise ValueError(f"a root has 32 bytes, not {len(root)}")
    return f"{MEMO_PREFIX}.{_encode(batch_id.bytes)}.{_encode(root)}"


def parse_memo(text: str) -> tuple[UUID, bytes] | None:
    """Batch id and root of a memo of ours; ``None`` for anybody else's.

    Strict: what would not be written so by ``memo_text`` is not ours.
    """
    prefix, *parts = text.split(".")
    if prefix != MEMO_PREFIX or len(parts) != 2 or len(text) != MEMO_LENGTH:
        return None
    try:
        batch_id, root = UUID(bytes=_decode(parts[0])), _decode(parts[1])
        written = memo_text(batch_id, root)
    except ValueError:
        return None
    return (batch_id, root) if written == text else None


def memo_in_history(memo: str | None) -> tuple[UUID, bytes] | None:
    """The memo of ours in the ``memo`` of a ``getSignaturesForAddress`` row, if there is one.

    Nodes write each memo as ``[length] text`` and join several with ``"; "``.
    """
    for part in (memo or "").split("; "):
        length, _, text = part.partition(" ")
        if length == f"[{MEMO_LENGTH}]" and (parsed := parse_memo(text)):
            return parsed
    return None


def _node(left: bytes, right: bytes) -> bytes:
    return sha256(b"\x01" + left + right).digest()


def _split_point(size: int) -> int:
    """The largest power of two smaller than ``size`` (2 or more)."""
    return 1 << ((size - 1).bit_length() - 1)


def _encode(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def _decode(text: str) -> bytes:
    try:
        return urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
    except (UnicodeEncodeError, binascii.Error) as error:
        raise ValueError("not base64url") from error
