"""Healing a database that is older than the chain, from the journal's file or from audit packs.

A memo's root does not tell which readings were paid; the file's leaves do, and the root proves
them. What has no leaves is held, and shown with the sums of its wallets. Nothing else of a file is
believed, a pack's statuses and sums neither.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import structlog
from django.db import IntegrityError, transaction
from solders.transaction import VersionedTransaction

from minting import journal
from minting.cluster.client import Node
from minting.cluster.history import fetch_landed
from minting.engine.audit import Contents, Difference, Paid, compare
from minting.engine.audit_pack import (
    MAX_LINE,
    PackBatch,
    PackReading,
    PackTransaction,
    is_pack,
    read_pack,
)
from minting.engine.types import LandedTransaction, MintFacts
from minting.journal import Adoption, CannotAdoptError, Payee
from minting.models import MintInfo, ReconcileFinding
from minting.service.chain.session import Session
from minting.service.history.auditing import landed_contents
from readings import queries

log = structlog.get_logger(__name__)

SIGNATURE_FEE = 5_000
"""Lamports a signature; what was paid above it was bid as priority fee."""


@dataclass(frozen=True, slots=True)
class Line:
    """What a file says of one transaction: a line of the journal's file, or a pack's lines."""

    signature: str
    genesis_hash: str
    batch_id: UUID
    root: bytes
    paid: tuple[Paid, ...]


@dataclass(frozen=True, slots=True)
class Held:
    """A transaction of the file that could not be adopted, and why."""

    signature: str
    reason: str


@dataclass(frozen=True, slots=True)
class AdoptReport:
    """What became of a file."""

    adopted: int = 0
    held: tuple[Held, ...] = ()
    unreadable_lines: int = 0


def adopt_file(
    session: Session, node: Node, path: Path, *, mint: MintInfo, facts: MintFacts
) -> AdoptReport:
    """Adopts what the file explains of the mints that the journal does not know.

    Lines about anything else are passed over, so a file may be given as often as one likes.

    Raises:
        OSError: The file cannot be read.
        PackRefused: It is an audit pack, and not as one was written; nothing was adopted.
        SolanaError: The chain could not be asked; what was adopted until then stays.
    """
    unknown = set(
        ReconcileFinding.objects.filter(
            mint=mint, kind=Difference.UNKNOWN_MINT, resolved_at__isnull=True
        ).values_list("signature", flat=True)
    )
    adopted, unreadable = 0, 0
    held: list[Held] = []
    for line in read_lines(path):
        if line is None:
            unreadable += 1
        elif line.signature in unknown and line.genesis_hash == mint.genesis_hash:
            [landed] = session.run(fetch_landed(node, [line.signature]))
            try:
                adopted += _adopt(line, landed, mint=mint, facts=facts)
            except (CannotAdoptError, IntegrityError) as error:
                log.warning("not_adopted", signature=line.signature, reason=str(error))
                held.append(Held(line.signature, str(error)))
    return AdoptReport(adopted, tuple(held), unreadable)


def read_lines(path: Path) -> Iterator[Line | None]:
    """What a journal file or an audit pack says; its content tells which of them it is.

    Yields ``None`` for a line of a journal file that is cut off or is none of ours.

    Raises:
        PackRefused: A pack that is not as it was written. All of it is read once before the first
            of its lines is yielded.
    """
    with path.open("rb") as file:
        packed = is_pack(file.readline(MAX_LINE))
    if packed:
        for _ in _pack_lines(path):
            pass
    yield from _pack_lines(path) if packed else _journal_lines(path)


def _journal_lines(path: Path) -> Iterator[Line | None]:
    with path.open(encoding="utf-8", errors="replace") as file:
        for text in file:
            if text.strip():
                yield _line(text)


def _pack_lines(path: Path) -> Iterator[Line]:
    """One a transaction; its readings come behind it, in the order of the tree."""
    genesis_hash = ""
    paid: list[Paid] = []
    with path.open("rb") as file:
        for each in read_pack(file):
            if isinstance(each, PackBatch):
                genesis_hash = each.genesis_hash
            elif isinstance(each, PackTransaction):
                row, paid = each, []
            elif isinstance(each, PackReading):
                paid.append(Paid(each.id, each.wallet, each.base_units))
                if len(paid) == row.readings:
                    yield Line(
                        signature=row.signature,
                        genesis_hash=genesis_hash,
                        batch_id=row.memo_batch,
                        root=row.memo_root,
                        paid=tuple(paid),
                    )


def _line(text: str) -> Line | None:
    try:
        document: dict[str, Any] = json.loads(text)
        return Line(
            signature=str(document["signature"]),
            genesis_hash=str(document["genesis_hash"]),
            batch_id=UUID(document["batch_id"]),
            root=bytes.fromhex(document["root"]),
            paid=tuple(
                sorted(
                    (
                        Paid(UUID(reading), str(wallet), int(units))
                        for reading, wallet, units in document["leaves"]
                    ),
                    key=lambda each: each.reading_id.bytes,
                )
            ),
        )
    except (ValueError, KeyError, TypeError):
        return None


def _adopt(line: Line, landed: LandedTransaction, *, mint: MintInfo, facts: MintFacts) -> bool:
    """Proves a line by its transaction and takes it over.

    Raises:
        CannotAdoptError: It proves nothing, or the database speaks against it.
    """
    contents = landed_contents(landed, facts.address)
    _require_proof(line, landed, contents, facts)
    payees = {
        reading.id: Payee(reading.owner.user_id if reading.owner else "", reading.kwh_amount)
        for reading in queries.readings_for_display([each.reading_id for each in line.paid])
    }
    with transaction.atomic():
        return journal.record_adopted(_adoption(line, landed, contents), mint=mint, payees=payees)


def _require_proof(
    line: Line, landed: LandedTransaction, contents: Contents, facts: MintFacts
) -> None:
    """The root in the memo is that of the leaves, and each wallet got the sum of its own."""
    if landed.err is not None:
        raise CannotAdoptError("It landed with an error: nothing was minted")
    if any(each.authority != facts.mint_authority for each in contents.mints):
        raise CannotAdoptError("Another authority minted it")
    if contents.memo != (line.batch_id, line.root):
        raise CannotAdoptError("Its memo names another batch or root than the file")
    try:
        differences = compare(contents, line.paid, facts)
    except (ValueError, OverflowError) as error:
        raise CannotAdoptError(f"The file's leaves cannot be read: {error}") from error
    if differences:
        raise CannotAdoptError(f"The file's leaves do not give what it minted: {differences[0]}")


def _adoption(line: Line, landed: LandedTransaction, contents: Contents) -> Adoption:
    decoded = VersionedTransaction.from_bytes(landed.raw)
    network_fee = min(landed.fee, SIGNATURE_FEE * len(decoded.signatures))
    opened = [
        after
        for before, after in zip(landed.pre_balances, landed.post_balances, strict=True)
        if before == 0 and after > 0
    ]
    spent = landed.pre_balances[0] - landed.post_balances[0]
    return Adoption(
        signature=line.signature,
        raw=landed.raw,
        version=str(decoded.version()),
        blockhash=str(decoded.message.recent_blockhash),
        fee_payer=str(contents.fee_payer),
        slot=landed.slot,
        batch_id=line.batch_id,
        root=line.root,
        paid=line.paid,
        new_accounts=len(opened),
        network_fee=network_fee,
        priority_fee=landed.fee - network_fee,
        rent=max(0, spent - landed.fee),
    )
