"""The journal against itself and the chain: what its bytes pay, and what its statuses say."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import NamedTuple
from uuid import UUID

from django.db import connection, transaction
from django.db.models import BooleanField, Count, ExpressionWrapper, F, Q, QuerySet, Window
from solders.pubkey import Pubkey

from minting import journal
from minting.cluster.client import Node
from minting.cluster.concurrency import pages, together
from minting.cluster.history import fetch_landed
from minting.engine.audit import Contents, Difference, Finding, Paid, compare, read_transaction
from minting.engine.errors import SolanaError
from minting.engine.states import (
    LIVE_RESULTS,
    SUCCEEDED_RESULTS,
    ResultStatus,
    TransactionStatus,
    reading_status,
)
from minting.engine.types import LandedTransaction, MintFacts
from minting.models import MintInfo, MintResult, MintTransaction, ReconcileRun
from minting.service.chain.session import Session

CHUNK = 100
"""Transactions compared at once: half a megabyte of bytes, and the results of one of them."""

FETCHED = 1_000
"""Results that come from the database at a time: one transaction may pay thousands."""

ASKED = 20
"""Transactions that a node is asked about at once."""

NAMED = 10
"""Readings that a finding about many names."""


def audit_journal(
    session: Session,
    node: Node,
    run: ReconcileRun,
    mint: MintInfo,
    facts: MintFacts,
    *,
    up_to_slot: int,
) -> None:
    """Compares finalized transactions with the chain and with the results that they pay.

    All of them in a thorough run, else those that were not found clean before.

    Raises:
        SolanaError: The node did not say whether it has one that its history lacks.
    """
    due = journal.of_mint(mint).filter(status=TransactionStatus.FINALIZED, slot__lte=up_to_slot)
    if not run.thorough:
        due = due.filter(audited_at__isnull=True)
    columns = ("signature", "raw", "base_units", "slot", "chain_slot", "audited_at")
    for rows in _chunks(due.only(*columns)):
        found = dict(_judge_unmet(session, node, [row for row in rows if row.chain_slot is None]))
        met = [row for row in rows if row.chain_slot is not None]
        contents = _contents_of(session, node, met, facts)
        for row, paid in _with_results(met):
            found[row.id] = _judge_contents(row, contents[row.id], paid, facts)
        with transaction.atomic():
            journal.record_audit(
                run,
                clean=[id_ for id_, findings in found.items() if not findings],
                unclean=[id_ for id_, findings in found.items() if findings],
                findings=[each for findings in found.values() for each in findings],
            )


def audit_statuses(run: ReconcileRun, mint: MintInfo) -> None:
    """Derives stored statuses again: of transactions, and in a thorough run of all readings."""
    overlooked = journal.overlooked(mint).only("signature", "base_units", "status", "chain_slot")
    for rows in _chunks(overlooked):
        with transaction.atomic():
            journal.record_findings(run, [_about_overlooked(row) for row in rows])
    if run.thorough:
        wrong = [_about_many(*each) for each in _wrong_statuses() if each[1]]
        with transaction.atomic():
            journal.record_findings(run, wrong)


def _contents_of(
    session: Session, node: Node, rows: Sequence[MintTransaction], facts: MintFacts
) -> dict[UUID, Contents | None]:
    """What rows that landed did; ``None`` where the stored bytes are not those that were signed.

    What a program of others minted is told by what it called, which the chain alone keeps. It is
    asked once a row: what is final, and was found to be what was asked for, stays so.

    Raises:
        SolanaError: The node did not tell.
    """
    found = {row.id: own_contents(row, facts) for row in rows}
    unseen = [
        row
        for row in rows
        if row.audited_at is None and (told := found[row.id]) is not None and told.asked
    ]
    for part in pages(unseen, ASKED):
        landed = session.run(fetch_landed(node, [row.signature for row in part]))
        for row, each in zip(part, landed, strict=True):
            found[row.id] = landed_contents(each, facts.address)
    return found


def own_contents(row: MintTransaction, facts: MintFacts) -> Contents | None:
    """What a row's bytes do, or ask a program for; ``None`` unless its signature is valid."""
    try:
        contents = read_transaction(bytes(row.raw), facts.address, called=None)
    except ValueError:
        return None
    return contents if contents.signed and contents.signature == row.signature else None


def landed_contents(landed: LandedTransaction, mint: Pubkey) -> Contents:
    """What a fetched transaction does, with all that its programs called.

    Raises:
        SolanaError: The answer cannot be read, so that it might hide a mint.
    """
    try:
        return read_transaction(
            landed.raw, mint, called=landed.called or (), loaded=landed.loaded_addresses
        )
    except (ValueError, IndexError) as error:
        raise SolanaError(f"{landed.signature} cannot be read: {error}") from error


def _chunks(due: QuerySet[MintTransaction]) -> Iterator[list[MintTransaction]]:
    """All of them by id, some at a time."""
    last: UUID | None = None
    while True:
        after = due if last is None else due.filter(id__gt=last)
        rows = list(after.order_by("id")[:CHUNK])
        if not rows:
            return
        last = rows[-1].id
        yield rows


class _Result(NamedTuple):
    """What the audit asks of a result."""

    transaction_id: UUID
    reading_id: UUID
    wallet: str
    base_units: int
    agrees: bool
    """Whether it is finalized by the signature of its transaction."""


def _with_results(
    rows: Sequence[MintTransaction],
) -> Iterator[tuple[MintTransaction, list[_Result]]]:
    """Rows that are ordered by id, each with its results: one row's in memory at a time."""
    agrees = Q(status=ResultStatus.FINALIZED, tx_signature=F("transaction__signature"))
    results = (
        MintResult.objects.filter(transaction__in=[row.id for row in rows])
        .order_by("transaction_id")
        .values_list(
            "transaction_id",
            "reading_id",
            "wallet_address",
            "base_units",
            ExpressionWrapper(agrees, output_field=BooleanField()),
        )
        .iterator(chunk_size=FETCHED)
    )
    groups = groupby(map(_Result._make, results), key=lambda result: result.transaction_id)
    payer, paid = next(groups, (None, iter(())))
    for row in rows:
        if row.id == payer:
            yield row, list(paid)
            payer, paid = next(groups, (None, iter(())))
        else:
            yield row, []


def _judge_unmet(
    session: Session, node: Node, rows: Sequence[MintTransaction]
) -> Iterator[tuple[UUID, list[Finding]]]:
    for part in pages(rows, ASKED):
        told = session.run(together(node.transaction(row.signature) for row in part))
        for row, landed in zip(part, told, strict=True):
            yield row.id, _judge_absence(row, landed)


def _judge_absence(row: MintTransaction, landed: LandedTransaction | None) -> list[Finding]:
    """Finalized in the journal, and the walk of the mint's history did not meet it."""
    if landed is not None and landed.err is None:
        return []
    why = "it landed with an error" if landed else "the chain does not have it"
    return [
        Finding(
            Difference.MISSING,
            row.signature,
            on_chain=0,
            in_journal=int(row.base_units),
            detail=f"Finalized at slot {row.slot} according to the journal, but {why}",
        )
    ]


def _judge_contents(
    row: MintTransaction,
    contents: Contents | None,
    results: Sequence[_Result],
    facts: MintFacts,
) -> list[Finding]:
    if contents is None:
        return [
            Finding(
                Difference.BYTES_DIFFER,
                row.signature,
                detail="The stored bytes are not those that this signature signs",
            )
        ]
    paid = [Paid(each.reading_id, each.wallet, int(each.base_units)) for each in results]
    try:
        findings = compare(contents, paid, facts)
    except (ValueError, OverflowError) as error:
        return [Finding(Difference.WRONG_WALLET, row.signature, detail=f"A result: {error}")]
    if not findings and int(row.base_units) != contents.minted:
        findings.append(
            Finding(
                Difference.WRONG_AMOUNT,
                row.signature,
                on_chain=contents.minted,
                in_journal=int(row.base_units),
                detail="The results are right, the transaction's own sum is not",
            )
        )
    late = sum(not each.agrees for each in results)
    if late:
        findings.append(
            Finding(
                Difference.STATUS_DIFFERS,
                row.signature,
                detail=f"It is finalized, and {late} of its results do not say so",
            )
        )
    return findings


# What a reading's stored columns must be while it has a live result, and what they must not be
# while it has none; some of the readings, and how many there are.
_MISLED = """
SELECT r.id, count(*) OVER () FROM minting_mintresult m
JOIN readings_meterreading r ON r.id = m.reading_id
WHERE m.status = %s AND (r.status <> %s OR r.last_result_id IS DISTINCT FROM m.id)
LIMIT %s
"""
_UNFOUNDED = """
SELECT r.id, count(*) OVER () FROM readings_meterreading r
WHERE r.status = ANY(%s) AND NOT EXISTS (
    SELECT 1 FROM minting_mintresult m WHERE m.reading_id = r.id AND m.status = ANY(%s)
)
LIMIT %s
"""


def _wrong_statuses() -> Iterator[tuple[str, list[tuple[UUID, int]]]]:
    """(What is wrong, some readings and of how many) for each rule of readings and results."""
    claimed = sorted({str(reading_status(each, permanent=False)) for each in LIVE_RESULTS})
    live = sorted(each.value for each in LIVE_RESULTS)
    with connection.cursor() as sql:
        for status in sorted(LIVE_RESULTS):
            due = reading_status(status, permanent=False)
            sql.execute(_MISLED, [status.value, due, NAMED])
            yield f"has a result {status.value} and is not {due} by it", sql.fetchall()
        sql.execute(_UNFOUNDED, [claimed, live, NAMED])
        yield f"is one of {', '.join(claimed)} without a result", sql.fetchall()
    orphans = MintResult.objects.filter(
        Q(status__in=[each.value for each in SUCCEEDED_RESULTS])
        & ~Q(transaction__status__in=[TransactionStatus.CONFIRMED, TransactionStatus.FINALIZED])
        | Q(status=ResultStatus.FINALIZED) & ~Q(tx_signature=F("transaction__signature"))
    )
    some = orphans.order_by().values_list("reading", Window(Count("*")))[:NAMED]
    yield "succeeded by a transaction that did not", list(some)


def _about_overlooked(row: MintTransaction) -> Finding:
    return Finding(
        Difference.STATUS_DIFFERS,
        row.signature,
        on_chain=int(row.base_units),
        in_journal=0,
        detail=f"It landed at slot {row.chain_slot}, the journal says {row.status}",
    )


def _about_many(wrong: str, readings: Sequence[tuple[UUID, int]]) -> Finding:
    named = ", ".join(str(reading) for reading, _ in readings)
    return Finding(
        Difference.STATUS_DIFFERS,
        # What tells this finding from the others of its kind.
        wallet=wrong.partition(" and is")[0][:44],
        detail=f"{readings[0][1]} readings, each {wrong}: {named}",
    )
