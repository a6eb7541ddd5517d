"""A restored database is healed from audit packs, as it is from the journal's file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from minting.engine.audit_pack import (
    PackBatch,
    PackLine,
    PackReading,
    PackTransaction,
)
from minting.models import (
    BatchSource,
    MintBatch,
    MintingGate,
    MintResult,
    MintTransaction,
    ReconcileFinding,
)
from minting.service.audit.adopt import read_lines
from minting.service.audit.audit_pack import write_pack
from minting.service.requests.prepare import request_batch
from readings.models import MeterReading
from tests.factories.readings import MeterReadingFactory, address, household
from tests.minting.admin.test_proof import assert_proven
from tests.minting.service.comparing import (
    UNITS,
    compare,
    journal_files,
    mint,
    restore_from_before,
    work_once,
)
from tests.verify.packs import changed, lines_of, pack_from, verify

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def pack(tmp_path: Path):
    """Writes the pack of a batch into a file."""

    def write(batch: MintBatch) -> Path:
        path = tmp_path / f"{batch.id}.jsonl"
        with path.open("wb") as file:
            write_pack(batch.id, file.write)
        return path

    return write


def test_point_20_a_database_older_than_the_chain_is_healed_from_an_audit_pack(
    minting_chain, drain, pack, tmp_path
):
    mint(drain, MeterReadingFactory())
    compare()
    readings: list[MeterReading] = [MeterReadingFactory() for _ in range(14)]
    lost = mint(drain, *readings)
    signatures = set(lost.transactions.values_list("signature", flat=True))
    assert len(signatures) == 2
    costs = lost.fee_paid_lamports, lost.rent_paid_lamports
    compare()  # all of it is final
    file = pack(lost)
    restore_from_before(lost)
    again = request_batch([reading.id for reading in readings], source=BatchSource.CLI, strict=True)
    assert work_once().signed == 0
    assert MintingGate.objects.get().closed_since is not None
    for path in journal_files(minting_chain):
        Path(path).unlink()  # the pack is all there is

    out = StringIO()
    call_command("reconcile", "--adopt", str(file), "--json", stdout=out)

    answer = json.loads(out.getvalue())
    assert (answer["status"], answer["adopted"], answer["held"]) == ("clean", 2, [])
    healed = MintBatch.objects.get(id=lost.id)
    assert (healed.status, healed.successful_mints) == ("succeeded", 14)
    assert (healed.fee_paid_lamports, healed.rent_paid_lamports) == costs
    assert {row.signature for row in healed.transactions.all()} == signatures
    assert_proven(healed)
    again.refresh_from_db()
    assert (again.status, again.failed_mints) == ("cancelled", 14)
    assert set(MeterReading.objects.values_list("status", flat=True)) == {"minted"}
    # Once more changes nothing, and minting goes on.
    before = MintResult.objects.count(), MintTransaction.objects.count()
    assert compare(adopt=file).clean
    assert (MintResult.objects.count(), MintTransaction.objects.count()) == before
    assert MintingGate.objects.get().closed_since is None
    mint(drain, MeterReadingFactory())
    assert minting_chain.supply() == 16 * UNITS
    assert compare().clean
    # The pack of what was adopted verifies, too: its memos are those of the first life.
    code, told = verify(pack(healed), tmp_path, "--rpc", minting_chain.net.url)
    assert code == 0, told


def test_a_batch_that_was_adopted_beside_another_has_a_pack_that_verifies(
    minting_chain, drain, pack, tmp_path
):
    """Its memos name the batch that was cancelled after the restore."""
    reading = household().reading()
    batch = mint(drain, reading)
    compare()
    file = pack(batch)
    MintResult.objects.update(
        status="cancelled", transaction=None, tx_signature="", slot=None, error_code="cancelled"
    )
    MintTransaction.objects.all().delete()
    MintBatch.objects.update(
        status="cancelled",
        successful_mints=0,
        failed_mints=1,
        fee_paid_lamports=0,
        rent_paid_lamports=0,
    )
    MeterReading.objects.update(status="pending")

    assert compare(adopt=file).clean

    beside = MintBatch.objects.get(retry_of=batch)
    assert_proven(beside)
    code, told = verify(pack(beside), tmp_path, "--rpc", minting_chain.net.url)
    assert code == 0, told
    code, told = verify(pack(batch), tmp_path)
    assert code == 0, told


def _another_reading(lines: Sequence[PackLine]) -> list[PackLine]:
    other = MeterReadingFactory()
    return changed(lines, PackReading, lambda _: {"id": other.id})


def _statuses_of_no_effect(lines: Sequence[PackLine]) -> list[PackLine]:
    lines = changed(lines, PackBatch, lambda _: {"status": "failed", "mint": address("other")})
    return changed(
        lines,
        PackTransaction,
        lambda _: {"status": "expired", "slot": 1, "raw": b"", "rent_lamports": 10**12},
    )


@pytest.mark.parametrize(
    ("forge", "reason"),
    [
        (_another_reading, "leaves do not give"),
        (
            lambda lines: changed(lines, PackReading, lambda _: {"wallet": address("thief")}),
            "leaves do not give",
        ),
        (
            lambda lines: changed(lines, PackReading, lambda _: {"base_units": 2**64 - 1}),
            "leaves do not give",
        ),
        (
            lambda lines: changed(lines, PackTransaction, lambda _: {"memo_root": bytes(32)}),
            "another batch or root",
        ),
    ],
    ids=["reading", "wallet", "amount", "root"],
)
def test_what_a_pack_does_not_prove_is_held(minting_chain, drain, pack, forge, reason):
    batch = mint(drain, household().reading())
    compare()
    file = pack(batch)
    file.write_bytes(pack_from(forge(lines_of(file.read_bytes()))))
    restore_from_before(batch)

    report = compare(adopt=file)

    assert not report.clean
    assert report.adopted is not None
    assert report.adopted.adopted == 0
    [held] = report.adopted.held
    assert reason in held.reason
    assert not MintTransaction.objects.exists()
    assert work_once().signed == 0


def test_only_leaves_and_the_chain_are_believed(minting_chain, drain, pack, tmp_path):
    reading = household().reading()
    batch = mint(drain, reading)
    compare()
    costs = batch.fee_paid_lamports, batch.rent_paid_lamports
    row = MintTransaction.objects.values("raw", "slot", "rent_lamports").get()
    forged = tmp_path / "forged.jsonl"
    forged.write_bytes(pack_from(_statuses_of_no_effect(lines_of(pack(batch).read_bytes()))))
    restore_from_before(batch)

    assert compare(adopt=forged).clean

    healed = MintBatch.objects.get()
    assert (healed.status, healed.fee_paid_lamports, healed.rent_paid_lamports) == (
        "succeeded",
        *costs,
    )
    assert MintTransaction.objects.values("raw", "slot", "rent_lamports").get() == row


def test_a_pack_of_another_cluster_is_passed_over(minting_chain, drain, pack, tmp_path):
    batch = mint(drain, household().reading())
    compare()
    other = tmp_path / "other.jsonl"
    lines = changed(
        lines_of(pack(batch).read_bytes()),
        PackBatch,
        lambda _: {"genesis_hash": address("another cluster")},
    )
    other.write_bytes(pack_from(lines))
    restore_from_before(batch)

    report = compare(adopt=other)

    assert report.adopted is not None
    assert (report.adopted.adopted, report.adopted.held) == (0, ())
    assert ReconcileFinding.objects.filter(kind="unknown_mint", resolved_at=None).exists()


def test_a_damaged_pack_is_refused_in_one_sentence_and_nothing_is_adopted(
    minting_chain, drain, pack, tmp_path
):
    batch = mint(drain, household().reading())
    compare()
    file = pack(batch)
    whole = file.read_bytes()
    restore_from_before(batch)

    for damaged in (whole[:-10], whole + b"\n", whole.replace(b"HOUSE-1", b"HOUSE-2")):
        file.write_bytes(damaged)
        with pytest.raises(CommandError, match="The audit pack is refused at line") as refused:
            call_command("reconcile", "--adopt", str(file), stdout=StringIO())
        assert refused.value.returncode == 2
    assert not MintTransaction.objects.exists()
    assert work_once().signed == 0

    file.write_bytes(whole)
    assert compare(adopt=file).clean


def test_a_file_is_recognised_by_its_content(minting_chain, drain, pack, tmp_path):
    batch = mint(drain, *[MeterReadingFactory() for _ in range(14)])
    [journal] = journal_files(minting_chain)
    packed, told = tmp_path / "journal-1.jsonl", tmp_path / "audit-pack.jsonl"
    packed.write_bytes(pack(batch).read_bytes())
    told.write_bytes(Path(journal).read_bytes())

    from_pack, from_journal = list(read_lines(packed)), list(read_lines(told))

    assert len(from_pack) == 2
    key = lambda line: line.signature  # noqa: E731 - a key for both
    assert sorted(from_pack, key=key) == sorted(from_journal, key=key)
