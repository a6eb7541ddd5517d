"""A database older than the chain is healed from the journal's file, as far as that proves."""

from __future__ import annotations

import json
from datetime import timedelta
from io import StringIO
from pathlib import Path
from unittest.mock import patch

import pytest
from django.core.management import call_command
from django.utils import timezone

from minting.models import (
    BatchSource,
    MintApproval,
    MintBatch,
    MintingGate,
    MintResult,
    MintTransaction,
    ReconcileFinding,
)
from minting.service.requests.prepare import request_batch
from readings.models import MeterReading
from tests.factories.readings import (
    MeterReadingFactory,
    household,
)
from tests.minting.service.comparing import (
    UNITS,
    compare,
    journal_files,
    kinds,
    mint,
    restore_from_before,
    work_once,
)

pytestmark = pytest.mark.django_db(transaction=True)


def test_point_20_a_database_older_than_the_chain_signs_nothing_and_is_healed_from_the_file(
    minting_chain, drain
):
    mint(drain, MeterReadingFactory())
    compare()
    readings: list[MeterReading] = [MeterReadingFactory() for _ in range(4)]
    lost = mint(drain, *readings)
    signatures = set(MintTransaction.objects.filter(batch=lost).values_list("signature", flat=True))
    costs = lost.fee_paid_lamports, lost.rent_paid_lamports
    minting_chain.net.wait_slots(40)
    restore_from_before(lost)
    again = request_batch([reading.id for reading in readings], source=BatchSource.CLI, strict=True)

    assert work_once().signed == 0

    gate = MintingGate.objects.get()
    assert gate.closed_since is not None
    assert "not in the journal" in gate.reason
    assert set(MintResult.objects.filter(batch=again).values_list("status", flat=True)) == {
        "pending"
    }
    assert not compare().clean
    assert kinds() == {"unknown_mint"}
    assert work_once().signed == 0

    [file] = journal_files(minting_chain)
    out = StringIO()
    call_command("reconcile", "--adopt", file, "--json", stdout=out)

    answer = json.loads(out.getvalue())
    assert (answer["status"], answer["adopted"], answer["held"]) == (
        "clean",
        len(signatures),
        [],
    )
    healed = MintBatch.objects.get(id=lost.id)
    assert (healed.status, healed.successful_mints) == ("succeeded", 4)
    assert (healed.fee_paid_lamports, healed.rent_paid_lamports) == costs
    assert {row.signature for row in healed.transactions.all()} == signatures
    again.refresh_from_db()
    assert (again.status, again.failed_mints) == ("cancelled", 4)
    assert set(MeterReading.objects.values_list("status", flat=True)) == {"minted"}
    # Once more changes nothing, and minting goes on.
    before = MintResult.objects.count(), MintTransaction.objects.count()
    assert compare(adopt=_path(file)).clean
    assert (MintResult.objects.count(), MintTransaction.objects.count()) == before
    assert MintingGate.objects.get().closed_since is None
    mint(drain, MeterReadingFactory())
    assert minting_chain.supply() == 6 * UNITS
    assert compare().clean


def _path(file: str):
    return Path(file)


@pytest.mark.parametrize("waited", [False, True], ids=["running", "not approved yet"])
def test_a_batch_that_was_half_minted_in_the_backup_goes_on_as_itself(minting_chain, drain, waited):
    """The backup has the batch and its pending results, and not their transactions."""
    reading = household().reading()
    batch = mint(drain, reading)
    minting_chain.net.wait_slots(40)
    MintResult.objects.update(
        status="pending", transaction=None, tx_signature="", slot=None, settled_at=None
    )
    MintTransaction.objects.all().delete()
    batch.slices.update(status="awaiting_approval" if waited else "queued")
    if waited:
        MintApproval.objects.create(
            batch=batch,
            why="above the limit",
            fee_cap_lamports=1,
            digest=b"",
            expires_at=timezone.now() + timedelta(days=1),
        )
    MintBatch.objects.update(
        status="awaiting_approval" if waited else "running",
        successful_mints=0,
        finished_at=None,
        fee_paid_lamports=0,
        rent_paid_lamports=0,
    )
    MeterReading.objects.update(status="minting")
    MintingGate.objects.update(system_identifier="another server")

    assert work_once().signed == 0
    [file] = journal_files(minting_chain)
    report = compare(adopt=_path(file))

    assert report.clean
    result = MintResult.objects.get()
    assert (result.status, result.batch_id) == ("finalized", batch.id)
    fresh = MintBatch.objects.get()
    assert (fresh.status, fresh.fee_paid_lamports) == ("succeeded", batch.fee_paid_lamports)
    assert minting_chain.supply() == UNITS
    assert work_once().slices == 0
    assert not MintApproval.objects.waiting().exists()


def test_a_batch_that_was_cancelled_after_the_restore_is_adopted_beside_it(minting_chain, drain):
    reading = household().reading()
    batch = mint(drain, reading)
    minting_chain.net.wait_slots(40)
    MintResult.objects.update(
        status="cancelled", transaction=None, tx_signature="", slot=None, error_code="cancelled"
    )
    MintTransaction.objects.all().delete()
    MintBatch.objects.update(status="cancelled", successful_mints=0, failed_mints=1)
    MeterReading.objects.update(status="pending")

    [file] = journal_files(minting_chain)
    assert compare(adopt=_path(file)).clean

    beside = MintBatch.objects.get(retry_of=batch)
    assert (beside.status, beside.total_readings) == ("succeeded", 1)
    reading.refresh_from_db()
    assert reading.status == "minted"


def test_what_a_file_does_not_prove_is_held(minting_chain, drain, tmp_path):
    reading = household().reading()
    batch = mint(drain, reading)
    minting_chain.net.wait_slots(40)
    [file] = journal_files(minting_chain)
    line = json.loads(_path(file).read_text())
    other = MeterReadingFactory()
    forged = tmp_path / "forged.jsonl"
    forged.write_text(
        json.dumps({**line, "leaves": [[str(other.id), *line["leaves"][0][1:]]]}) + "\n{cut off\n"
    )
    restore_from_before(batch)

    report = compare(adopt=forged)

    assert not report.clean
    assert report.adopted is not None
    assert (report.adopted.adopted, report.adopted.unreadable_lines) == (0, 1)
    [held] = report.adopted.held
    assert "leaves do not give" in held.reason
    finding = ReconcileFinding.objects.get(kind="unknown_mint")
    assert finding.wallet == line["leaves"][0][1]
    assert str(batch.id) in finding.detail

    MeterReading.objects.filter(id=reading.id).delete()
    report = compare(adopt=_path(file))
    assert "not in the database" in report.adopted.held[0].reason


def test_a_reading_signed_for_again_is_never_adopted_over(minting_chain, drain):
    reading = household().reading()
    batch = mint(drain, reading)
    minting_chain.net.wait_slots(40)
    restore_from_before(batch)
    with patch("minting.service.history.gate.require_open"):
        mint(drain, reading)  # what the gate is there to prevent

    [file] = journal_files(minting_chain)
    report = compare(adopt=_path(file))

    assert not report.clean
    assert "was signed for again" in report.adopted.held[0].reason
    assert work_once().signed == 0
