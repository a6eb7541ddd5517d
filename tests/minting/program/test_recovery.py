"""A program's transactions after a death, and what others mint through the same program."""

from __future__ import annotations

import json
from io import StringIO

import pytest
from django.core.management import call_command
from django.test import Client
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction

from minting.engine.types import Destination, Group, Payment
from minting.models import MintBatch, MintResult, MintSelection, MintTransaction, ReconcileFinding
from minting.service.preflight import inspect_mint
from minting.service.program import program_for
from minting.service.session import open_session
from tests.factories.readings import MeterReadingFactory, address, household
from tests.minting.admin.conftest import VIEWS, Staff, staff  # noqa: F401 — a fixture
from tests.minting.admin.test_selecting import confirm_url, frozen_by
from tests.minting.service.test_minting import mint
from tests.minting.service.test_reconcile import (
    compare,
    journal_files,
    kinds,
    restore_from_before,
    work_once,
)
from tests.minting.service.test_recovery import assert_minted_once, die, queue
from tests.programs import cast

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_call_whose_worker_died_is_minted_once(use_program, drain):
    chain = use_program("platform_mint")
    reading = household().reading()
    queue(reading)

    die(drain, "minting.service.wave.send")
    drain()

    assert_minted_once(chain, reading)
    # Both signatures are in the bytes that were journalled, and that recovery sent.
    raw = bytes(MintTransaction.objects.get().raw)
    assert len(VersionedTransaction.from_bytes(raw).signatures) == 2


def mint_besides(chain, wallet: str, units: int) -> None:
    """Our own authority has the program mint, and the journal knows nothing of it."""
    account = chain.open_account(wallet)
    with open_session() as session:
        facts = inspect_mint(session).facts
        program = program_for(session.config, facts)
    reading = MeterReadingFactory()
    paid = Group("", Pubkey.from_string(wallet), (Payment(reading.id, units),))
    instructions = program.mint(
        Destination(paid, account, create=False), facts, chain.authority.pubkey()
    )
    chain.send(instructions)


def test_what_the_program_mints_for_others_is_found_and_shown(use_program, drain):
    chain = use_program("seed_mint")
    mint([MeterReadingFactory()], drain=drain)
    mint_besides(chain, address("outsider"), 77)

    report = compare()

    assert not report.clean
    finding = ReconcileFinding.objects.get()
    assert (finding.kind, finding.on_chain) == ("unknown_mint", 77)
    assert finding.wallet == address("outsider")
    assert work_once().signed == 0


def test_a_mint_whose_authority_left_the_program_is_an_alarm(use_program, drain, settings):
    use_program("platform_mint")
    mint([MeterReadingFactory()], drain=drain)
    settings.MINT_PROGRAM_IDL = cast.idl_file("seed_mint")
    settings.MINT_PROGRAM_ID = str(cast.address("seed_mint"))
    settings.MINT_PROGRAM_ACCOUNTS, settings.MINT_PROGRAM_SIGNERS = {}, {}

    assert not compare().clean

    # The token_info of the program that was is no account of the one that is configured now.
    assert kinds() == {"mint_changed"}


def test_what_the_results_say_otherwise_is_found_by_what_the_program_called(use_program, drain):
    use_program("platform_mint")
    mint([MeterReadingFactory()], drain=drain)
    MintResult.objects.update(base_units=1)

    assert not compare().clean
    assert kinds() == {"wrong_amount"}
    MintResult.objects.update(base_units=250_000_000)
    assert compare().clean
    # Once proven by the chain it is compared by its bytes alone.
    assert MintTransaction.objects.filter(audited_at__isnull=False).count() == 1
    MintResult.objects.update(base_units=2)
    assert not compare().clean


def test_i7_a_restored_database_signs_nothing_and_adopts_what_the_program_minted(
    use_program,
    drain,
    staff: Staff,  # noqa: F811
):
    """Asked for in the admin, lost with the database, healed from the journal's file."""
    chain = use_program("platform_mint", token_2022=True)
    mint([MeterReadingFactory()], drain=drain)
    operator: Client = staff("operator", *VIEWS, "minting.mint_readings")
    readings = [MeterReadingFactory() for _ in range(3)]
    selection: MintSelection = frozen_by(operator, readings)
    page = operator.get(confirm_url(selection)).content.decode()
    assert "10,000" in page.replace("\xa0", " ") or "0.00001" in page
    operator.post(confirm_url(selection))
    drain()
    lost = MintBatch.objects.get(source="admin")
    costs = lost.fee_paid_lamports, lost.rent_paid_lamports
    assert (lost.status, lost.fee_paid_lamports) == ("succeeded", 10_000)
    chain.net.wait_slots(40)
    restore_from_before(lost)

    assert not compare().clean
    assert kinds() == {"unknown_mint"}
    assert work_once().signed == 0
    [file] = journal_files(chain)
    out = StringIO()
    call_command("reconcile", "--adopt", file, "--json", stdout=out)

    answer = json.loads(out.getvalue())
    assert (answer["status"], answer["adopted"], answer["held"]) == ("clean", 1, [])
    again = MintBatch.objects.get(id=lost.id)
    assert (again.fee_paid_lamports, again.rent_paid_lamports) == costs
