"""Whom a program refuses: everybody, or one; before queueing, before signing, on landing."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from io import StringIO
from unittest.mock import patch

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError, SystemCheckError
from solders.account import Account
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from minting.engine.errors import MintingRefused
from minting.engine.programs.anchor import AnchorProgram
from minting.engine.types import AccountView, Simulation
from minting.models import BatchSource, MintBatch, MintResult, MintTransaction
from minting.service.chain import program
from minting.service.chain.preflight import inspect_mint, inspect_patiently
from minting.service.chain.session import open_session
from minting.service.drive import wave
from minting.service.plan import faults
from minting.service.requests.prepare import request_batch
from readings.models import MeterReading
from tests.factories.readings import MeterReadingFactory, household
from tests.minting.engine.cast import mint_facts
from tests.minting.engine.test_anchor import program_of
from tests.minting.service.test_minting import mint
from tests.programs import cast

pytestmark = pytest.mark.django_db(transaction=True)

PAUSED = "Paused (6002): Minting is paused"


def pause(chain, *, paused: bool = True) -> None:
    """The program stops for everybody, or goes on."""
    owner = cast.address("platform_mint")
    account = Account(10**7, b"\x01", owner) if paused else None
    chain.net.set_account(cast.token_info(), account)


@pytest.fixture
def platform(use_program):
    chain = use_program("platform_mint")
    yield chain
    pause(chain, paused=False)


def outcome(reading: MeterReading) -> tuple[bool | None, str]:
    result = MintResult.objects.filter(reading=reading).latest("id")
    return result.success, result.error_code


def test_a_program_that_refuses_everybody_stops_what_is_queued_and_lets_nothing_in(platform, drain):
    waiting = household().reading()
    batch = request_batch([waiting.id], source=BatchSource.CLI, strict=True)
    pause(platform)

    with pytest.raises(MintingRefused) as refused:
        request_batch([MeterReadingFactory().id], source=BatchSource.CLI, strict=True)
    with pytest.raises(SystemCheckError) as checked:
        call_command("check", "--deploy", "--tag", "security", stderr=StringIO())
    drain()

    sentence = f"refuses to mint one base unit: instruction 1 failed: {PAUSED}"
    assert str(refused.value).endswith(sentence)
    assert sentence in str(checked.value)
    assert "(minting.E005)" in str(checked.value)
    assert MintBatch.objects.get() == batch
    assert not MintTransaction.objects.exists()
    assert outcome(waiting) == (False, "minting_refused")
    result = MintResult.objects.get()
    assert PAUSED in result.error
    assert not result.permanent

    pause(platform, paused=False)
    assert mint([waiting], drain=drain).status == "succeeded"


def test_i8_a_program_that_refuses_one_pays_the_others(platform, drain, settings):
    settings.BLOCKCHAIN_MAX_TOKENS_PER_TRANSACTION = 10**14
    settings.TOKENIZATION_MAX_READING_KWH = Decimal(2000)
    small = [MeterReadingFactory() for _ in range(3)]
    large = MeterReadingFactory(kwh_amount=Decimal(1001))

    batch = mint([*small, large], drain=drain)

    assert batch.status == "partially_succeeded"
    assert {outcome(reading) for reading in small} == {(True, "")}
    assert outcome(large) == (False, "program_refused")
    error = MintResult.objects.get(reading=large).error
    assert "AmountTooLarge (6004): More than one instruction may mint" in error
    assert not MintTransaction.objects.filter(status="failed").exists()


def test_i8_an_account_frozen_under_way_fails_alone_with_its_own_code(platform, drain):
    anong = household()
    good, frozen, wallet = MeterReadingFactory(), anong.reading(), anong.wallet.address
    platform.open_account(wallet)

    async def freeze_first(*arguments):
        platform.freeze_now(wallet)
        return await faults.learn(*arguments)

    with patch.object(wave, "learn", freeze_first):
        mint([good, frozen], drain=drain)

    assert outcome(good) == (True, "")
    assert outcome(frozen) == (False, "account_frozen")


def test_an_error_on_landing_is_told_by_its_name_and_frees_the_readings(platform, drain, settings):
    settings.TOKENIZATION_MAX_RETRY_ATTEMPTS = 0
    reading = household().reading()

    def send_paused(*arguments):
        pause(platform)
        genuine(*arguments)

    genuine = wave.send
    with patch.object(wave, "send", send_paused):
        request_batch([reading.id], source=BatchSource.CLI, strict=True)
        drain()

    failed = MintTransaction.objects.get(status="failed")
    assert failed.error
    assert outcome(reading)[0] is False
    assert PAUSED in MintResult.objects.get(reading=reading).error


def test_a_mint_whose_authority_the_instruction_does_not_name_is_refused(use_program, settings):
    use_program("seed_mint")
    owned_by_another = settings.ENERGY_TOKEN_MINT
    use_program("platform_mint")
    settings.ENERGY_TOKEN_MINT = owned_by_another

    with pytest.raises(MintingRefused, match="which the program's instruction does not name"):
        request_batch([MeterReadingFactory().id], source=BatchSource.CLI, strict=True)


def test_a_worker_without_a_key_that_has_to_sign_does_not_start(platform, settings, tmp_path):
    stranger = Keypair().pubkey()
    settings.MINT_PROGRAM_ACCOUNTS |= {"rec_validator": str(stranger)}
    settings.MINT_PROGRAM_SIGNERS = {}

    with pytest.raises(CommandError, match=f"{stranger} has to sign: MINT_PROGRAM_SIGNERS names"):
        call_command("qcluster")

    settings.MINT_PROGRAM_SIGNERS = {"rec_validator": tmp_path / "absent.json"}
    with pytest.raises(CommandError, match=r"absent\.json: No such file"):
        call_command("qcluster")


def test_a_payer_who_cannot_pay_for_the_question_is_no_reason_not_to_start(platform):
    platform.net.set_account(platform.authority.pubkey(), Account(900_000, b"", Pubkey.default()))
    with open_session() as session:
        assert inspect_patiently(session) is not None


def test_a_program_that_keeps_a_share_is_refused():
    """None of ours does; what it would show does not differ from one that did."""

    def shows(amount: int) -> Simulation:
        data = bytes(64) + amount.to_bytes(8, "little") + bytes(93)
        view = AccountView(2_039_280, cast.address("seed_mint"), data)
        return Simulation(1, None, None, 1, 1, (), accounts=(view,))

    named = program_of("seed_mint", mint_facts())
    program._require_exact(named, shows(1), shows(2))
    for one, two in ((0, 0), (2, 4), (1, 1)):
        with pytest.raises(MintingRefused, match=f"gave {one} and {two}"):
            program._require_exact(named, shows(one), shows(two))
    with pytest.raises(MintingRefused, match="gave nothing"):
        program._require_exact(named, *(replace(shows(1), accounts=(None,)),) * 2)


def test_a_program_that_takes_lamports_of_its_own_is_refused(platform, monkeypatch):
    """It has our signature, so it could; the payer of a call too many would show it."""
    balances = iter([9, 7, 9, 7, 9, 9, *[9, 7] * program.TRIES])
    monkeypatch.setattr(program, "_lamports", lambda _simulation: next(balances))

    with open_session() as session:
        facts = inspect_mint(session).facts
        bound = program.program_for(session.config, facts)
        assert isinstance(bound, AnchorProgram)
        assert session.run(program.ask(session.cluster, bound, facts)).executed == 2
        with pytest.raises(MintingRefused, match="takes 2 lamports of its own for each mint"):
            session.run(program.ask(session.cluster, bound, facts))
