"""Minting, and then comparing chain and journal: what tests of reconciliation have in common."""

from __future__ import annotations

from collections.abc import Iterator

from spl.token.constants import TOKEN_PROGRAM_ID
from spl.token.instructions import mint_to
from spl.token.models import MintToParams

from minting.models import (
    BatchSource,
    MintBatch,
    MintingGate,
    MintResult,
    MintTransaction,
    ReconcileFinding,
)
from minting.service.audit.reconcile import ReconcileReport, reconcile_after_recovery
from minting.service.chain.session import open_session
from minting.service.drive import submit
from minting.service.requests.prepare import request_batch
from readings.models import MeterReading

UNITS = 250_000_000
"""Base units of a quarter hour from the factory."""


def mint(drain, *readings: MeterReading) -> MintBatch:
    batch = request_batch([reading.id for reading in readings], source=BatchSource.CLI, strict=True)
    drain()
    batch.refresh_from_db()
    assert batch.status == "succeeded"
    return batch


def compare(**options) -> ReconcileReport:
    with open_session() as session:
        return reconcile_after_recovery(session, patience=30, **options)


def kinds() -> set[str]:
    open_ones = ReconcileFinding.objects.filter(resolved_at=None, acknowledged_at=None)
    return set(open_ones.values_list("kind", flat=True))


def mint_besides(chain, wallet: str, units: int) -> None:
    """The authority mints without the journal."""
    account = chain.open_account(wallet)
    params = MintToParams(
        program_id=TOKEN_PROGRAM_ID,
        mint=chain.mint,
        dest=account,
        mint_authority=chain.authority.pubkey(),
        amount=units,
    )
    chain.send([mint_to(params)])


def work_once() -> submit.DriveReport:
    with open_session() as session:
        return submit.drive_waiting(session, worker="test")


def restore_from_before(batch: MintBatch) -> None:
    """Takes a batch out of the database, as if it were restored from a backup made before it."""
    readings = list(MintResult.objects.filter(batch=batch).values_list("reading_id", flat=True))
    MintResult.objects.filter(batch=batch).delete()
    MintTransaction.objects.filter(batch=batch).delete()
    batch.slices.all().delete()
    MintBatch.objects.filter(id=batch.id).delete()
    MeterReading.objects.filter(id__in=readings).update(status="pending", last_result_id=None)
    # The restored server is on another timeline.
    MintingGate.objects.update(timeline="00000000")


def journal_files(chain) -> Iterator[str]:
    return (str(path) for path in (chain.keypair_file.parent / "journal").iterdir())
