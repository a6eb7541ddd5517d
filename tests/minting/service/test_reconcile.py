"""Chain against journal, on the real token program: every kind of difference, made for real."""

from __future__ import annotations

import json
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection, transaction
from solders.keypair import Keypair
from spl.token.constants import TOKEN_PROGRAM_ID
from spl.token.instructions import burn, mint_to, transfer_checked
from spl.token.models import BurnParams, MintToParams, TransferCheckedParams

from gridtoken.embedded.faults import FaultPlan
from minting import journal
from minting.cluster.history import BackwardWalk
from minting.engine.errors import SolanaError
from minting.models import (
    BatchSource,
    MintBatch,
    MintInfo,
    MintingGate,
    MintResult,
    MintTransaction,
    ReconcileCursor,
    ReconcileFinding,
    ReconcileRun,
)
from minting.service.audit.reconcile import ReconcileReport, reconcile, reconcile_after_recovery
from minting.service.chain.session import open_session
from minting.service.drive import submit
from minting.service.requests.prepare import request_batch
from readings.models import MeterReading
from tests.factories.readings import (
    MeterReadingFactory,
    OwnerFactory,
    WalletFactory,
    household,
    keypair,
)

pytestmark = pytest.mark.django_db(transaction=True)

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


def test_clean_after_minting_and_again(minting_chain, drain):
    readings = [MeterReadingFactory() for _ in range(5)]
    mint(drain, *readings)

    first, second = compare(), compare()

    assert first.clean
    assert first.run.transactions_read == 1  # the mint's own creation
    assert first.run.audited == MintTransaction.objects.count()
    assert first.run.supply_on_chain == first.run.supply_explained == 5 * UNITS
    assert first.run.in_flight == 0
    assert second.clean
    assert second.run.transactions_seen == 0
    assert second.run.from_slot == first.run.to_slot


def test_i7_the_walk_goes_on_from_its_cursor_and_the_sums_add_up(minting_chain, drain):
    mint(drain, MeterReadingFactory())
    compare()
    mint(drain, MeterReadingFactory(), MeterReadingFactory())

    report = compare()

    assert report.clean
    assert report.run.transactions_seen == MintTransaction.objects.count() - 1
    cursor = ReconcileCursor.objects.get()
    assert (cursor.minted, cursor.journalled, cursor.burned) == (3 * UNITS, 3 * UNITS, 0)


def test_owners_who_burn_and_transfer_make_no_difference(minting_chain, drain):
    owner, friend = keypair("burner"), keypair("friend")
    wallet = WalletFactory(owner=OwnerFactory(), address=str(owner.pubkey()))
    mint(drain, MeterReadingFactory(owner=wallet.owner))
    account = minting_chain.token_account(str(owner.pubkey()))
    other = minting_chain.open_account(str(friend.pubkey()))
    minting_chain.send(
        [
            transfer_checked(
                TransferCheckedParams(
                    program_id=TOKEN_PROGRAM_ID,
                    source=account,
                    mint=minting_chain.mint,
                    dest=other,
                    owner=owner.pubkey(),
                    amount=1_000,
                    decimals=9,
                )
            ),
            burn(
                BurnParams(
                    program_id=TOKEN_PROGRAM_ID,
                    account=account,
                    mint=minting_chain.mint,
                    owner=owner.pubkey(),
                    amount=50_000_000,
                )
            ),
        ],
        owner,
    )
    minting_chain.net.wait_slots(40)

    report = compare()

    assert report.clean
    assert report.run.supply_on_chain == UNITS - 50_000_000
    assert ReconcileCursor.objects.get().burned == 50_000_000
    mint(drain, MeterReadingFactory())


def test_what_is_not_final_is_in_flight_and_no_difference(minting_chain, drain):
    mint(drain, MeterReadingFactory())
    minting_chain.net.wait_slots(40)
    minting_chain.net.pause()
    try:
        batch = request_batch([MeterReadingFactory().id], source=BatchSource.CLI, strict=True)
        with patch.object(submit, "STINT", 0.2), patch.object(submit, "OVERTIME", 0.2):
            work_once()
        with open_session() as session:
            report = reconcile(session, thorough=True)
    finally:
        minting_chain.net.resume()

    assert report.clean
    assert report.run.in_flight >= 1
    drain()
    batch.refresh_from_db()
    assert batch.status == "succeeded"


def test_a_mint_outside_the_journal_stops_minting_until_a_person_acknowledges_it(
    minting_chain, drain
):
    mint(drain, MeterReadingFactory())
    thief = str(keypair("thief").pubkey())
    mint_besides(minting_chain, thief, 777)
    batch = request_batch([MeterReadingFactory().id], source=BatchSource.CLI, strict=True)

    work_once()

    assert "the journal explains 250,000,000" in MintingGate.objects.get().reason
    assert MintTransaction.objects.count() == 1
    assert MintResult.objects.get(batch=batch).status == "pending"
    minting_chain.net.wait_slots(40)
    report = compare()
    assert not report.clean
    finding = ReconcileFinding.objects.get()
    assert (finding.kind, finding.on_chain, finding.wallet) == ("unknown_mint", 777, thief)
    assert str(minting_chain.authority.pubkey()) in finding.detail
    work_once()
    assert MintTransaction.objects.count() == 1

    with transaction.atomic():
        assert journal.acknowledge([finding.id], by="approver", reason="a test mint") == 1
    assert compare().clean
    drain()

    batch.refresh_from_db()
    assert batch.status == "succeeded"
    assert compare().clean


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


def test_a_batch_that_was_half_minted_in_the_backup_goes_on_as_itself(minting_chain, drain):
    """The backup has the batch and its pending results, and not their transactions."""
    reading = household().reading()
    batch = mint(drain, reading)
    minting_chain.net.wait_slots(40)
    MintResult.objects.update(
        status="pending", transaction=None, tx_signature="", slot=None, settled_at=None
    )
    MintTransaction.objects.all().delete()
    batch.slices.update(status="queued")
    MintBatch.objects.update(
        status="running",
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


@pytest.mark.parametrize(
    ("spoil", "kind"),
    [
        (lambda: MintResult.objects.update(base_units=1), "wrong_amount"),
        (
            lambda: MintResult.objects.update(wallet_address=str(keypair("x").pubkey())),
            "wrong_wallet",
        ),
        (
            lambda: MintResult.objects.update(reading=MeterReadingFactory(status="minted").id),
            "root_mismatch",
        ),
        (lambda: MintTransaction.objects.update(raw=b"\x00" * 200), "bytes_differ"),
        (lambda: MintTransaction.objects.update(base_units=5), "wrong_amount"),
        (lambda: MintResult.objects.update(status="confirmed"), "status_differs"),
        (lambda: MeterReading.objects.update(status="pending"), "status_differs"),
        (
            lambda: MintTransaction.objects.update(status="expired", evidence={}),
            "status_differs",
        ),
    ],
)
def test_rows_that_were_changed_are_found_and_found_no_more_when_put_right(
    minting_chain, drain, spoil, kind
):
    mint(drain, MeterReadingFactory())
    assert compare().clean
    models: tuple[Any, ...] = (MintTransaction, MintResult, MeterReading)
    saved = {model: list(model.objects.values()) for model in models}

    spoil()
    report = compare()

    assert not report.clean
    assert kind in kinds()
    landed_though_dead = MintTransaction.objects.filter(status="expired").exists()
    assert (MintingGate.objects.get().closed_since is not None) == landed_though_dead
    for model, rows in saved.items():
        for row in rows:
            row.pop("success", None)
            if model is MintTransaction:
                row.pop("audited_at")
            model.objects.filter(pk=row.pop("id")).update(**row)
    MeterReading.objects.exclude(
        id__in=[row.reading_id for row in MintResult.objects.all()]
    ).update(status="pending")
    assert compare().clean


def test_a_transaction_that_the_chain_does_not_have_is_missing(minting_chain, drain):
    mint(drain, MeterReadingFactory())
    assert compare().clean
    row = MintTransaction.objects.get()
    row.pk, row.signature, row.chain_slot = row.batch_id, str(Keypair().sign_message(b"")), None
    row.save(force_insert=True)

    assert not compare().clean

    finding = ReconcileFinding.objects.get(kind="missing")
    assert (finding.on_chain, finding.in_journal) == (0, UNITS)


def test_rows_deleted_behind_the_cursor_make_it_walk_all_again(minting_chain, drain):
    batch = mint(drain, MeterReadingFactory())
    compare()
    restore_from_before(batch)

    report = compare()

    assert report.run.from_slot == -1
    assert kinds() == {"unknown_mint"}


def test_a_supply_that_nothing_explains_is_found_and_can_be_accepted(minting_chain, drain):
    mint(drain, MeterReadingFactory())
    minting_chain.net.wait_slots(40)
    walked = BackwardWalk.page

    async def blind(self):
        return tuple(entry for entry in await walked(self) if entry.memo is None)

    with patch.object(BackwardWalk, "page", blind):
        report = compare()

    assert not report.clean
    assert kinds() >= {"supply_difference"}
    assert ReconcileCursor.objects.get().slot == -1
    # The next walk sees all, and nothing is left of it.
    assert compare().clean


def test_a_person_can_accept_a_supply_that_no_history_explains(minting_chain, drain):
    mint(drain, MeterReadingFactory())
    assert compare().clean
    ReconcileCursor.objects.update(minted=UNITS - 5)
    compare()
    finding = ReconcileFinding.objects.get(kind="supply_difference")
    assert (finding.on_chain, finding.in_journal) == (UNITS, UNITS - 5)

    with transaction.atomic():
        journal.acknowledge([finding.id], by="approver", reason="the ledger begins later")

    assert compare().clean
    assert ReconcileCursor.objects.get().accepted == 5


def test_point_19_killed_between_a_page_and_the_cursor_changes_nothing(minting_chain, drain):
    class KilledError(BaseException):
        pass

    mint(drain, MeterReadingFactory(), MeterReadingFactory())
    mint_besides(minting_chain, str(keypair("thief").pubkey()), 9)
    minting_chain.net.wait_slots(40)

    with (
        patch("minting.journal.move_cursor", side_effect=KilledError),
        pytest.raises(KilledError),
    ):
        compare()

    assert ReconcileCursor.objects.get().slot == -1
    assert ReconcileRun.objects.get().status == "running"
    assert ReconcileFinding.objects.count() == 1
    assert not compare().clean
    cursor = ReconcileCursor.objects.get()
    assert (cursor.minted, cursor.journalled) == (2 * UNITS + 9, 2 * UNITS)
    assert ReconcileFinding.objects.count() == 1


def test_a_history_of_many_pages_is_walked_whole(minting_chain, drain):
    for _ in range(4):
        mint(drain, MeterReadingFactory())
    with patch.object(BackwardWalk, "__init__", _small_pages(BackwardWalk.__init__)):
        report = compare()
    assert report.clean
    assert report.run.transactions_seen == 5


def _small_pages(init):
    def smaller(self, *args, **options):
        init(self, *args, page_size=2, **options)

    return smaller


def test_silent_nodes_conclude_nothing(minting_chain, drain):
    mint(drain, MeterReadingFactory())
    assert compare().clean
    minting_chain.net.faults = FaultPlan(seed=1, error=1.0, methods=("getSignaturesForAddress",))

    try:
        with pytest.raises(SolanaError):
            compare()
        with pytest.raises(CommandError) as told:
            call_command("reconcile", stdout=StringIO())
    finally:
        minting_chain.net.faults = FaultPlan()

    assert told.value.returncode == 2
    assert ReconcileRun.objects.order_by("-id")[0].status == "failed"
    assert compare().clean


def test_the_command_exits_1_on_a_difference_and_tells_it(minting_chain, drain):
    mint_besides(minting_chain, str(keypair("thief").pubkey()), 9)
    minting_chain.net.wait_slots(40)
    out = StringIO()

    with pytest.raises(CommandError) as told:
        call_command("reconcile", stdout=out)

    assert told.value.returncode == 1
    assert "unknown_mint" in out.getvalue()
    assert "supply 9 of 9 explained" in out.getvalue()


def test_before_each_wave_the_gate_asks_nothing_of_its_own(minting_chain, drain):
    """The supply comes with what the wave reads anyway, the landmark is noted once."""
    mint(drain, MeterReadingFactory())
    asked = ("getTokenSupply", "getSignaturesForAddress")
    before = [minting_chain.net.requests[method] for method in asked]

    mint(drain, MeterReadingFactory())

    assert [minting_chain.net.requests[method] for method in asked] == before


def test_the_gate_knows_this_database(minting_chain, drain):
    mint(drain, MeterReadingFactory())
    gate = MintingGate.objects.get()
    assert gate.system_identifier.isdigit()
    assert len(gate.timeline) == 8
    assert gate.closed_since is None


def test_a_server_that_hides_its_identity_is_a_warning_only(minting_chain, drain):
    with patch("minting.service.history.gate.connection") as hidden:
        hidden.cursor.return_value.__enter__.return_value.execute.side_effect = DatabaseError("no")
        mint(drain, MeterReadingFactory())

    assert MintingGate.objects.get().system_identifier == ""


def test_the_ceiling_is_asked_of_an_index(minting_chain, drain):
    mint(drain, MeterReadingFactory())
    compare()
    info = MintInfo.objects.get()
    assert journal.supply_ceiling(info) == UNITS
    with connection.cursor() as sql:
        sql.execute("SET enable_seqscan = off")
        sql.execute(
            "EXPLAIN SELECT sum(base_units) FROM minting_minttransaction"
            " WHERE chain_slot IS NULL OR chain_slot > 5"
        )
        plan = "\n".join(row[0] for row in sql.fetchall())
        sql.execute("RESET enable_seqscan")
    assert "transaction_chain_slot" in plan


def test_a_gate_that_is_checked_again_finds_our_own_in_the_journal(minting_chain, drain):
    mint(drain, MeterReadingFactory())
    minting_chain.net.wait_slots(40)
    with patch.object(journal, "read_gate", _unchecked(journal.read_gate)):
        mint(drain, MeterReadingFactory())
    assert MintingGate.objects.get().closed_since is None


def _unchecked(read_gate):
    def read():
        gate = read_gate()
        gate.checked_at = None
        return gate

    return read


def start_worker(chain) -> bool:
    """All that ``qcluster`` does before it starts a cluster; whether it comes that far."""
    chain.settings.MINT_AUTHORITY_KEYPAIR = chain.keypair_file
    with patch("minting.management.commands.qcluster.Watchdog") as watchdog:
        call_command("qcluster")
    return bool(watchdog.return_value.run.called)


def test_a_worker_checks_the_gate_at_its_start(minting_chain, drain):
    batch = mint(drain, MeterReadingFactory())
    minting_chain.net.wait_slots(40)
    timeline = MintingGate.objects.get().timeline
    restore_from_before(batch)
    MintingGate.objects.update(timeline=timeline)  # a copy of the data, on the same server

    assert start_worker(minting_chain)  # recovery and reconciliation go on
    assert MintingGate.objects.get().closed_since is not None

    # What a person took responsibility for closes it no more, at no later start either.
    assert not compare().clean
    findings = list(ReconcileFinding.objects.values_list("id", flat=True))
    with transaction.atomic():
        journal.acknowledge(findings, by="approver", reason="paid, and not in the backup")
    assert compare().clean
    assert start_worker(minting_chain)
    assert MintingGate.objects.get().closed_since is None


def test_a_worker_that_finds_no_node_leaves_the_gate_to_the_first_wave(minting_chain, drain):
    mint(drain, MeterReadingFactory())
    minting_chain.net.faults = FaultPlan(seed=1, error=1.0, methods=("getSignaturesForAddress",))

    try:
        start_worker(minting_chain)
        assert MintingGate.objects.get().checked_at is None
        request_batch([MeterReadingFactory().id], source=BatchSource.CLI, strict=True)
        with patch.object(submit, "PATIENCE", 0.5):
            assert work_once().signed == 0
    finally:
        minting_chain.net.faults = FaultPlan()
    drain()
    assert MintingGate.objects.get().checked_at is not None
    assert minting_chain.supply() == 2 * UNITS
