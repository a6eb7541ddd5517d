"""A program's transactions after a death, and what others mint through the same program."""

from __future__ import annotations

import json
from io import StringIO

import pytest
from django.core.management import call_command
from django.test import Client
from django.urls import reverse
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction

from minting.engine.types import Destination, Group, Payment
from minting.models import (
    MintBatch,
    MintInfo,
    MintResult,
    MintSelection,
    MintTransaction,
    ReconcileFinding,
)
from minting.service.chain.preflight import inspect_mint
from minting.service.chain.program import program_for
from minting.service.chain.session import open_session
from readings.models import MeterReading
from tests.factories.readings import MeterReadingFactory, address, household
from tests.minting.admin.conftest import VIEWS, Staff, staff  # noqa: F401 — a fixture
from tests.minting.admin.test_proof import assert_proven
from tests.minting.admin.test_selecting import confirm_url, frozen_by
from tests.minting.service.comparing import (
    compare,
    journal_files,
    kinds,
    restore_from_before,
    work_once,
)
from tests.minting.service.test_minting import mint
from tests.minting.service.test_recovery import assert_minted_once, die, queue
from tests.programs import cast

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_call_whose_worker_died_is_minted_once(use_program, drain):
    chain = use_program("platform_mint")
    reading = household().reading()
    queue(reading)

    die(drain, "minting.service.drive.wave.send")
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
    validator = Keypair.from_bytes(
        bytes(json.loads(chain.settings.MINT_PROGRAM_SIGNERS["rec_validator"].read_text()))
    )
    chain.send(instructions, validator)


def test_i7_every_difference_is_found_where_a_program_mints(use_program, drain, settings):
    chain = use_program("platform_mint")
    mint([MeterReadingFactory()], drain=drain)
    MintResult.objects.update(base_units=1)

    # Of what is compared for the first time the chain tells what was minted.
    assert not compare().clean
    assert kinds() == {"wrong_amount"}
    MintResult.objects.update(base_units=250_000_000)
    assert compare().clean
    # Once that was proven the bytes do.
    before = chain.net.requests["getTransaction"]
    MintResult.objects.update(base_units=2)
    assert not compare().clean
    assert kinds() == {"wrong_amount"}
    assert chain.net.requests["getTransaction"] == before
    MintResult.objects.update(base_units=250_000_000)

    # The address that mints is no account of another program's instruction.
    ours = settings.MINT_PROGRAM_ACCOUNTS, settings.MINT_PROGRAM_SIGNERS
    settings.MINT_PROGRAM_IDL = cast.idl_file("seed_mint")
    settings.MINT_PROGRAM_ID = str(cast.address("seed_mint"))
    settings.MINT_PROGRAM_ACCOUNTS, settings.MINT_PROGRAM_SIGNERS = {}, {}
    assert not compare().clean
    assert kinds() == {"mint_changed"}
    settings.MINT_PROGRAM_IDL = cast.idl_file("platform_mint")
    settings.MINT_PROGRAM_ID = None
    settings.MINT_PROGRAM_ACCOUNTS, settings.MINT_PROGRAM_SIGNERS = ours

    mint_besides(chain, address("outsider"), 77)
    chain.net.advance(40)
    assert not compare().clean
    finding = ReconcileFinding.objects.get(kind="unknown_mint", resolved_at=None)
    assert (finding.on_chain, finding.wallet) == (77, address("outsider"))
    assert str(cast.token_info()) in finding.detail
    assert work_once().signed == 0


def test_i7_a_restored_database_signs_nothing_and_adopts_what_the_program_minted(
    use_program,
    drain,
    staff: Staff,  # noqa: F811
):
    """Asked for in the admin, lost with the database, healed from the journal's file."""
    chain = use_program("platform_mint", token_2022=True)
    mint([MeterReadingFactory()], drain=drain)
    operator: Client = staff("operator", *VIEWS, "minting.mint_readings")
    readings: list[MeterReading] = [MeterReadingFactory() for _ in range(3)]
    selection: MintSelection = frozen_by(operator, readings)
    page = operator.get(confirm_url(selection)).content.decode()
    assert "10,000" in page.replace("\xa0", " ") or "0.00001" in page
    operator.post(confirm_url(selection))
    info = reverse("admin:minting_mintinfo_change", args=[MintInfo.objects.get().pk])
    way = f"mint_tokens_direct of the program {cast.address('platform_mint')}"
    assert f"{way}, signed by rec_validator too" in operator.get(info).content.decode()
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
    assert_proven(again)
