"""The auditor: I1 to I9 of docs/invariants.md, asked of the database and of the chain.

It runs when the faults are over and the system has come to rest: nothing queued, everything that
landed finalized. It reads tables and JSON-RPC, and asks none of the code that it checks; only the
memo's and the leaves' formats are taken from ``engine.receipts``, which has vectors of its own.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from django.db.models import Count, F, Q, Sum
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction
from spl.token.instructions import get_associated_token_address

from minting.engine.receipts import leaf, memo_in_history, merkle_root
from minting.models import (
    MintBatch,
    MintingGate,
    MintResult,
    MintTransaction,
    ReconcileFinding,
)
from readings.models import MeterReading
from stage.chain import Chain, Entry

LIVE = ("pending", "in_doubt", "confirmed", "finalized")
SUCCEEDED = ("confirmed", "finalized")
LANDED = ("confirmed", "finalized")


@dataclass(frozen=True, slots=True)
class Books:
    """Where the accounts are kept."""

    chain: Chain
    mint: str
    """Fresh when the run began: everything that was ever minted is in the journal or a finding."""
    authority: str
    journal_dir: Path
    max_priority_fee: int | None = None
    """Lamports that no transaction may bid more than."""


def audit(books: Books) -> list[str]:
    """What is wrong, each sentence with the invariant that it breaks; empty when all holds.

    Raises:
        ChainError: The node does not answer.
    """
    history = [
        entry for entry in books.chain.history(books.authority) if memo_in_history(entry.memo)
    ]
    checks: list[Callable[[], Iterator[str]]] = [
        _at_rest,
        _one_live_result,
        lambda: _journalled(history, books.journal_dir),
        _one_live_transaction,
        lambda: _dead_is_dead(history),
        _counted_once,
        lambda: _memos(history),
        lambda: _bids(books.max_priority_fee),
        lambda: _conserved(books, history),
        _no_false_alarm,
        _nobody_blamed,
        _nothing_swallowed,
    ]
    return [finding for check in checks for finding in check()]


def _at_rest() -> Iterator[str]:
    open_results = MintResult.objects.filter(status__in=("pending", "in_doubt")).count()
    if open_results:
        yield f"not at rest: {open_results} results are open"
    live = MintTransaction.objects.filter(status__in=("signed", "sent", "confirmed")).count()
    if live:
        yield f"not at rest: {live} transactions are neither final nor dead"


def _one_live_result() -> Iterator[str]:
    doubled = (
        MintResult.objects.filter(status__in=LIVE)
        .order_by()
        .values("reading")
        .annotate(number=Count("id"))
        .filter(number__gt=1)
    )
    for row in doubled:
        yield f"I1: reading {row['reading']} has {row['number']} live results"


def _journalled(history: list[Entry], journal_dir: Path) -> Iterator[str]:
    """I2: what is on the chain is in the journal, and both are in the file."""
    journal = set(MintTransaction.objects.values_list("signature", flat=True))
    filed = {
        json.loads(line)["signature"]
        for path in journal_dir.glob("*.jsonl")
        for line in path.read_text().splitlines()
    }
    for entry in history:
        if entry.signature not in journal:
            yield f"I2: {entry.signature} is on the chain and not in the journal"
    for signature in journal - filed:
        yield f"I2: {signature} is in the journal and not in its file"


def _one_live_transaction() -> Iterator[str]:
    paid: Counter[str] = Counter()
    for ids in MintTransaction.objects.filter(status__in=LANDED).values_list(
        "reading_ids", flat=True
    ):
        paid.update(map(str, ids))
    for reading, times in paid.items():
        if times > 1:
            yield f"I3: reading {reading} was paid by {times} transactions"
    pointing = MintResult.objects.filter(transaction__isnull=False).select_related("transaction")
    for result in pointing.iterator(chunk_size=2_000):
        paying = result.transaction
        if paying is not None and result.reading_id not in paying.reading_ids:
            yield f"I3: result {result.id} points at a transaction that does not pay it"


def _dead_is_dead(history: list[Entry]) -> Iterator[str]:
    on_chain = {entry.signature for entry in history}
    for row in MintTransaction.objects.filter(status="expired"):
        if row.signature in on_chain:
            yield f"I4: {row.signature} was declared dead and is on the chain"
        if (row.evidence or {}).get("verdict") != "dead":
            yield f"I4: {row.signature} expired without a proof"


def _counted_once() -> Iterator[str]:
    """I5: what a landing adds to its batch was added once."""
    for batch in MintBatch.objects.all():
        told = Counter(batch.results.values_list("status", flat=True))
        succeeded = sum(told[status] for status in SUCCEEDED)
        ended = told["failed"] + told["cancelled"]
        if (succeeded, ended) != (batch.successful_mints, batch.failed_mints):
            yield (
                f"I5: batch {batch.id} counts {batch.successful_mints} and {batch.failed_mints}, "
                f"its results say {succeeded} and {ended}"
            )
        spent = batch.transactions.aggregate(
            fee=Sum(
                F("network_fee_lamports") + F("priority_fee_lamports"),
                filter=Q(status__in=(*LANDED, "failed")),
                default=0,
            ),
            rent=Sum("rent_lamports", filter=Q(status__in=LANDED), default=0),
        )
        if (spent["fee"], spent["rent"]) != (batch.fee_paid_lamports, batch.rent_paid_lamports):
            yield f"I5: batch {batch.id} paid {spent}, and counts otherwise"


def _memos(history: list[Entry]) -> Iterator[str]:
    """I6: the bytes, the memo on the chain and the readings paid tell the same."""
    wallets = dict(MintResult.objects.values_list("reading_id", "wallet_address"))
    units = dict(MintResult.objects.values_list("reading_id", "base_units"))
    memos = {entry.signature: memo_in_history(entry.memo) for entry in history}
    for row in MintTransaction.objects.all().iterator():
        signed = VersionedTransaction.from_bytes(bytes(row.raw))
        if str(signed.signatures[0]) != row.signature:
            yield f"I6: the bytes of {row.signature} bear another signature"
        leaves = [
            leaf(id_, Pubkey.from_string(wallets[id_]), int(units[id_]))
            for id_ in sorted(row.reading_ids, key=lambda each: each.bytes)
        ]
        told = (row.batch_id, merkle_root(leaves))
        if bytes(row.memo_root) != told[1] or memos.get(row.signature, told) != told:
            yield f"I6: the memo of {row.signature} is not that of the readings it pays"
        if row.base_units != sum(units[id_] for id_ in row.reading_ids):
            yield f"I6: {row.signature} pays another sum than its readings"


def _bids(cap: int | None) -> Iterator[str]:
    """I6: nobody bids more than the cap, however high others go."""
    if cap is not None:
        for row in MintTransaction.objects.filter(priority_fee_lamports__gt=cap):
            yield f"I6: {row.signature} bids {row.priority_fee_lamports} lamports, {cap} is the cap"


def _no_false_alarm() -> Iterator[str]:
    """I7: reconciliation, whenever it ran, called nothing a difference that was only young."""
    for finding in ReconcileFinding.objects.all():
        yield f"I7: a difference was found: {finding.kind} {finding.signature} {finding.detail}"
    for gate in MintingGate.objects.filter(closed_since__isnull=False):
        yield f"I7: the gate is closed: {gate.reason}"


def _conserved(books: Books, history: list[Entry]) -> Iterator[str]:
    """I7: results, journal, supply, and each wallet's balance are one sum."""
    succeeded = MintResult.objects.filter(status__in=SUCCEEDED)
    total = succeeded.aggregate(sum=Sum("base_units", default=0))["sum"]
    landed = MintTransaction.objects.filter(status__in=LANDED)
    journalled = landed.aggregate(sum=Sum("base_units", default=0))["sum"]
    supply = books.chain.supply(books.mint)
    if not total == journalled == supply:
        yield f"I7: results say {total}, the journal {journalled}, the chain {supply}"
    on_chain = {entry.signature for entry in history if entry.err is None}
    ours = set(landed.values_list("signature", flat=True))
    for signature in on_chain ^ ours:
        yield f"I7: {signature} landed according to only one of journal and chain"
    paid = list(succeeded.order_by().values_list("wallet_address").annotate(sum=Sum("base_units")))
    mint = Pubkey.from_string(books.mint)
    accounts = [
        str(get_associated_token_address(Pubkey.from_string(wallet), mint)) for wallet, _ in paid
    ]
    for (wallet, expected), balance in zip(paid, books.chain.balances(accounts), strict=True):
        if expected != balance:
            yield f"I7: wallet {wallet} should hold {expected} and holds {balance}"


def _nobody_blamed() -> Iterator[str]:
    """I8: no fault of network, node or process is ever a wallet's."""
    for result in MintResult.objects.filter(status="failed", permanent=True):
        yield f"I8: reading {result.reading_id} failed for good: {result.error}"


def _nothing_swallowed() -> Iterator[str]:
    """I9: every reading of every batch has an outcome, and says so itself."""
    for batch in MintBatch.objects.annotate(number=Count("results")):
        if batch.number != batch.total_readings:
            yield f"I9: batch {batch.id} has {batch.number} results of {batch.total_readings}"
        if batch.finished_at is None:
            yield f"I9: batch {batch.id} never ended"
    silent = MintResult.objects.filter(status__in=("failed", "cancelled"), error="")
    for result in silent:
        yield f"I9: reading {result.reading_id} ended without a reason"
    minted = set(MintResult.objects.filter(status__in=SUCCEEDED).values_list("reading", flat=True))
    shown = set(MeterReading.objects.filter(status="minted").values_list("id", flat=True))
    for reading in minted ^ shown:
        yield f"I9: reading {reading} shows another status than its results"
