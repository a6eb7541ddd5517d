"""I8 where a program mints: its errors are named, and whose fault they are is told apart."""

from __future__ import annotations

import pytest
from solders.account import Account
from solders.transaction_metadata import FailedTransactionMetadata
from spl.token.constants import TOKEN_PROGRAM_ID

from minting.engine.apart import blamed_accounts
from minting.engine.blame import Blame, Fault, blame, confirm
from minting.engine.compose import unsigned_for_simulation
from minting.engine.packing import Carrier, pack
from minting.engine.programs.anchor import AnchorProgram
from minting.engine.types import PlannedTransaction
from tests.minting.engine.cast import AUTHORITY, BATCH_ID, UNBOUND, V1, Chain
from tests.minting.engine.test_anchor import chain_of, program_of
from tests.minting.engine.test_blame import as_json
from tests.programs import cast

GOOD, BAD = 0, 1


def scene(name: str, *amounts: int) -> tuple[Chain, AnchorProgram, PlannedTransaction]:
    """Two open accounts, and a plan that pays both."""
    chain = chain_of(name, TOKEN_PROGRAM_ID)
    for number in (GOOD, BAD):
        chain.open_account(number)
    program = program_of(name, chain.facts)
    carrier = Carrier(V1, chain.facts, program, AUTHORITY.pubkey(), chain.prices)
    groups = [chain.destination(number, *(amounts[number:] or (5,))[:1]) for number in (GOOD, BAD)]
    (plan,) = pack(groups, carrier, batch_id=BATCH_ID, max_tokens=UNBOUND)
    return chain, program, plan


def suspected(chain: Chain, program: AnchorProgram, plan: PlannedTransaction) -> Blame:
    """What a simulation that fails is put down to, and what reading the account leaves of it."""
    facts, authority = chain.facts, AUTHORITY.pubkey()
    raw = unsigned_for_simulation(plan, mint=facts, program=program, authority=authority)
    outcome = chain.simulate(raw)
    assert isinstance(outcome, FailedTransactionMetadata), outcome
    err = as_json(outcome.err())
    suspicion = blame(err, plan, mint=facts, program=program, authority=authority)
    if suspicion.destination is not None:
        # What landed with this error names its accounts; the wallet's is one of them.
        assert suspicion.destination.token_account in blamed_accounts(raw, err)
        view = chain.view(suspicion.destination.token_account)
        return confirm(suspicion, view, facts)
    return suspicion


@pytest.mark.parametrize("name", cast.NAMES)
def test_i8_a_frozen_account_is_its_wallet_s_fault_through_a_call_too(name):
    chain, program, plan = scene(name)
    chain.open_account(BAD, state=2)
    found = suspected(chain, program, plan)
    assert (found.fault, found.code) == (Fault.WALLET, "account_frozen")
    assert found.destination == plan.destinations[BAD]


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("seed_mint", "AmountTooLarge (6001): More than one instruction may mint"),
        ("platform_mint", "AmountTooLarge (6004): More than one instruction may mint"),
    ],
)
def test_i8_an_error_of_the_program_is_named_and_blames_no_account(name, told):
    chain, program, plan = scene(name, 5, 10**12 + 1)
    found = suspected(chain, program, plan)
    assert (found.fault, found.code) == (Fault.ALONE, "program_refused")
    assert found.why == f"instruction 1 failed: {told}"


def test_i8_a_program_that_is_paused_is_not_the_wallet_s_fault():
    chain, program, plan = scene("platform_mint")
    chain.svm.set_account(cast.token_info(), Account(10**7, b"\x01", cast.address("platform_mint")))
    found = suspected(chain, program, plan)
    assert (found.fault, found.code) == (Fault.ALONE, "program_refused")
    assert "Paused (6002): Minting is paused" in found.why


def test_i8_the_wrong_mint_authority_stops_the_wave():
    chain, program, plan = scene("seed_mint")
    account = chain.svm.get_account(chain.facts.address)
    assert account is not None
    data = bytearray(account.data)
    data[4:36] = bytes(cast.token_info())
    chain.svm.set_account(
        chain.facts.address, Account(account.lamports, bytes(data), account.owner)
    )
    found = suspected(chain, program, plan)
    assert (found.fault, found.code) == (Fault.WAVE, "minting_refused")


@pytest.mark.parametrize(
    ("code", "told"),
    [(3010, "AccountNotSigner (3010)"), (7777, "custom error 7777")],
)
def test_an_error_that_the_idl_does_not_list_is_anchor_s_or_a_number(code, told):
    chain, program, plan = scene("seed_mint")
    err = {"InstructionError": [0, {"Custom": code}]}
    found = blame(err, plan, mint=chain.facts, program=program, authority=AUTHORITY.pubkey())
    assert (found.code, found.why) == ("program_refused", f"instruction 0 failed: {told}")
