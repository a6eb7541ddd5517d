"""Nothing is signed while the chain holds what the journal does not explain."""

from __future__ import annotations

from unittest.mock import patch

import pytest
from django.core.management import call_command
from django.db import DatabaseError, connection, transaction
from django.db.models import F

from gridtoken.embedded.faults import FaultPlan
from minting import journal
from minting.models import (
    BatchSource,
    MintInfo,
    MintingGate,
    MintResult,
    MintTransaction,
    ReconcileCursor,
    ReconcileFinding,
)
from minting.service.drive import submit
from minting.service.requests.prepare import request_batch
from tests.factories.readings import (
    MeterReadingFactory,
    keypair,
)
from tests.minting.service.comparing import (
    UNITS,
    compare,
    mint,
    mint_besides,
    restore_from_before,
    work_once,
)

pytestmark = pytest.mark.django_db(transaction=True)


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


def test_a_node_behind_what_was_reconciled_closes_no_gate(minting_chain, drain):
    """It has not seen the burns that were walked, so its supply is above what there can be."""
    mint(drain, MeterReadingFactory())
    minting_chain.net.wait_slots(40)
    assert compare().clean
    ReconcileCursor.objects.update(burned=F("burned") + 1, slot=F("slot") + 1_000)
    batch = request_batch([MeterReadingFactory().id], source=BatchSource.CLI, strict=True)

    with patch.object(submit, "PATIENCE", 0.3):
        work_once()

    assert MintingGate.objects.get().closed_since is None
    assert MintResult.objects.get(batch=batch).status == "pending"
    assert MintTransaction.objects.count() == 1
