"""Chain against journal, on the real token program: every kind of difference, made for real."""

from __future__ import annotations

from io import StringIO
from typing import Any
from unittest.mock import patch

import pytest
from django.core.management import CommandError, call_command
from django.db import transaction
from solders.keypair import Keypair
from spl.token.constants import TOKEN_PROGRAM_ID
from spl.token.instructions import burn, transfer_checked
from spl.token.models import BurnParams, TransferCheckedParams

from gridtoken.embedded.faults import FaultPlan
from minting import journal
from minting.cluster.history import BackwardWalk
from minting.engine.errors import SolanaError
from minting.models import (
    BatchSource,
    MintingGate,
    MintResult,
    MintTransaction,
    ReconcileCursor,
    ReconcileFinding,
    ReconcileRun,
)
from minting.service.audit.reconcile import reconcile
from minting.service.chain.session import open_session
from minting.service.drive import submit
from minting.service.requests.prepare import request_batch
from readings.models import MeterReading
from tests.factories.readings import (
    MeterReadingFactory,
    OwnerFactory,
    WalletFactory,
    keypair,
)
from tests.minting.service.comparing import (
    UNITS,
    compare,
    kinds,
    mint,
    mint_besides,
    restore_from_before,
    work_once,
)

pytestmark = pytest.mark.django_db(transaction=True)


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
