"""The journal against itself and the chain: what its bytes pay, and what its statuses say."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from uuid import UUID

from django.db import connection, transaction
from django.db.models import F, Q
from solders.pubkey import Pubkey

from minting import journal
from minting.cluster.client import Node
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
from minting.service.session import Session

CHUNK = 500
"""Transactions compared at once: some megabytes of bytes and results."""

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
    for rows in _chunks(mint, up_to_slot, thorough=run.thorough):
        paid = _paid_by(rows)
        findings: list[Finding] = []
        clean: list[UUID] = []
        for row in rows:
            if row.chain_slot is None:
                landed = session.run(node.transaction(row.signature))
                found = _judge_absence(row, landed)
            else:
                found = _judge_contents(row, paid[row.id], facts)
            findings += found
            if not found:
                clean.append(row.id)
        unclean = [row.id for row in rows if row.id not in set(clean)]
        with transaction.atomic():
            journal.record_audit(run, clean=clean, unclean=unclean, findings=findings)


def audit_statuses(run: ReconcileRun, mint: MintInfo) -> None:
    """Derives stored statuses again: of transactions, and in a thorough run of all readings."""
    findings = [
        Finding(
            Difference.STATUS_DIFFERS,
            row.signature,
            on_chain=int(row.base_units),
            in_journal=0,
            detail=f"It landed at slot {row.chain_slot}, the journal says {row.status}",
        )
        for row in journal.overlooked(mint).only("signature", "base_units", "status", "chain_slot")
    ]
    if run.thorough:
        findings += [_about_many(*each) for each in _wrong_statuses() if each[1]]
    with transaction.atomic():
        journal.record_findings(run, findings)


def own_contents(row: MintTransaction, facts: MintFacts) -> Contents | None:
    """What a row's bytes do; ``None`` unless its signature is valid for them."""
    try:
        contents = read_transaction(bytes(row.raw), facts.address)
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


def _chunks(mint: MintInfo, up_to_slot: int, *, thorough: bool) -> Iterator[list[MintTransaction]]:
    due = journal.of_mint(mint).filter(status=TransactionStatus.FINALIZED, slot__lte=up_to_slot)
    if not thorough:
        due = due.filter(audited_at__isnull=True)
    last: UUID | None = None
    while True:
        after = due if last is None else due.filter(id__gt=last)
        rows = list(after.order_by("id")[:CHUNK])
        if not rows:
            return
        last = rows[-1].id
        yield rows


def _paid_by(rows: Sequence[MintTransaction]) -> dict[UUID, list[MintResult]]:
    paid: dict[UUID, list[MintResult]] = defaultdict(list)
    for result in MintResult.objects.filter(transaction__in=[row.id for row in rows]).only(
        "transaction_id", "reading_id", "wallet_address", "base_units", "status", "tx_signature"
    ):
        if result.transaction_id is not None:
            paid[result.transaction_id].append(result)
    return paid


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
    row: MintTransaction, results: Sequence[MintResult], facts: MintFacts
) -> list[Finding]:
    contents = own_contents(row, facts)
    if contents is None:
        return [
            Finding(
                Difference.BYTES_DIFFER,
                row.signature,
                detail="The stored bytes are not those that this signature signs",
            )
        ]
    paid = [
        Paid(result.reading_id, result.wallet_address, int(result.base_units)) for result in results
    ]
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
    late = [
        result
        for result in results
        if (result.status, result.tx_signature) != (ResultStatus.FINALIZED, row.signature)
    ]
    if late:
        findings.append(
            Finding(
                Difference.STATUS_DIFFERS,
                row.signature,
                detail=f"It is finalized, and {len(late)} of its results do not say so",
            )
        )
    return findings


# What a reading's stored columns must be while it has a live result, and what they must not be
# while it has none.
_MISLED = """
SELECT r.id FROM minting_mintresult m JOIN readings_meterreading r ON r.id = m.reading_id
WHERE m.status = %s AND (r.status <> %s OR r.last_result_id IS DISTINCT FROM m.id)
"""
_UNFOUNDED = """
SELECT r.id FROM readings_meterreading r WHERE r.status = ANY(%s) AND NOT EXISTS (
    SELECT 1 FROM minting_mintresult m WHERE m.reading_id = r.id AND m.status = ANY(%s)
)
"""


def _wrong_statuses() -> Iterator[tuple[str, list[UUID]]]:
    """(What is wrong, readings) for every rule that ties stored statuses to results."""
    claimed = sorted({str(reading_status(each, permanent=False)) for each in LIVE_RESULTS})
    live = sorted(each.value for each in LIVE_RESULTS)
    with connection.cursor() as sql:
        for status in sorted(LIVE_RESULTS):
            due = reading_status(status, permanent=False)
            sql.execute(_MISLED, [status.value, due])
            yield f"has a result {status.value} and is not {due} by it", _ids(sql.fetchall())
        sql.execute(_UNFOUNDED, [claimed, live])
        yield f"is one of {', '.join(claimed)} without a result", _ids(sql.fetchall())
    orphans = MintResult.objects.filter(
        Q(status__in=[each.value for each in SUCCEEDED_RESULTS])
        & ~Q(transaction__status__in=[TransactionStatus.CONFIRMED, TransactionStatus.FINALIZED])
        | Q(status=ResultStatus.FINALIZED) & ~Q(tx_signature=F("transaction__signature"))
    )
    yield "succeeded by a transaction that did not", list(orphans.values_list("reading", flat=True))


def _ids(rows: Sequence[tuple[UUID]]) -> list[UUID]:
    return [row[0] for row in rows]


def _about_many(wrong: str, readings: Sequence[UUID]) -> Finding:
    named = ", ".join(map(str, readings[:NAMED]))
    return Finding(
        Difference.STATUS_DIFFERS,
        # What tells this finding from the others of its kind.
        wallet=wrong.partition(" and is")[0][:44],
        detail=f"{len(readings)} readings, each {wrong}: {named}",
    )
