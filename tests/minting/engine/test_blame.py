"""I8: a wallet is blamed for its own fault only; the errors are those of the real programs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from solders.account import Account
from solders.pubkey import Pubkey
from solders.transaction_metadata import FailedTransactionMetadata
from solders.transaction_status import (
    InstructionErrorCustom,
    TransactionErrorFieldless,
    TransactionErrorInstructionError,
)

from minting.engine.blame import Blame, Fault, blame, confirm
from minting.engine.compose import unsigned_for_simulation
from minting.engine.types import MintFacts, PlannedTransaction
from tests.minting.engine.cast import (
    AUTHORITY,
    MINT,
    OUTSIDER,
    PROGRAM,
    Chain,
    destination,
    plan_of,
)

GOOD, BAD = 0, 1


def as_json(err: object) -> object:
    """LiteSVM's error as JSON-RPC writes it."""
    if isinstance(err, TransactionErrorFieldless):
        return repr(err).rpartition(".")[2]
    assert isinstance(err, TransactionErrorInstructionError)
    inner = err.err
    reason = (
        {"Custom": inner.code}
        if isinstance(inner, InstructionErrorCustom)
        else repr(inner).rpartition(".")[2]
    )
    return {"InstructionError": [err.index, reason]}


def blamed(err: object, plan: PlannedTransaction, mint: MintFacts) -> Blame:
    return blame(err, plan, mint=mint, program=PROGRAM, authority=AUTHORITY.pubkey())


def simulated(chain: Chain, plan: PlannedTransaction, facts: MintFacts) -> tuple[Blame, Blame]:
    """(suspicion, what remains of it after reading again) of a failed simulation."""
    raw = unsigned_for_simulation(plan, mint=facts, program=PROGRAM, authority=AUTHORITY.pubkey())
    outcome = chain.simulate(raw)
    assert isinstance(outcome, FailedTransactionMetadata), outcome
    suspicion = blamed(as_json(outcome.err()), plan, facts)
    view = chain.view(suspicion.destination.token_account) if suspicion.destination else None
    return suspicion, confirm(suspicion, view, facts)


def vanish(chain: Chain, number: int) -> None:
    address = chain.destination(number).token_account
    chain.svm.set_account(address, Account(0, b"", Pubkey.default()))


@pytest.mark.parametrize(
    ("change", "suspected", "code", "fault"),
    [
        (
            lambda chain: chain.open_account(BAD, state=2),
            "account_frozen",
            "account_frozen",
            "wallet",
        ),
        (
            lambda chain: chain.open_account(BAD, state=0),
            "account_uninitialized",
            "account_uninitialized",
            "wallet",
        ),
        (lambda chain: vanish(chain, BAD), "account_not_token", "account_changed", "alone"),
    ],
)
@pytest.mark.parametrize("good_first", [True, False])
def test_i8_an_existing_account_that_changed_is_told_from_its_neighbour(
    change: Callable[[Chain], object], suspected, code, fault, good_first
):
    chain = Chain()
    chain.open_account(GOOD)
    chain.open_account(BAD)
    order = (GOOD, BAD) if good_first else (BAD, GOOD)
    facts = chain.facts
    plan = plan_of([chain.destination(number) for number in order], mint=facts)
    change(chain)
    suspicion, rest = simulated(chain, plan, facts)
    assert (suspicion.fault, suspicion.code) == (Fault.WALLET, suspected)
    assert (rest.fault, rest.code) == (fault, code)
    assert rest.destination is not None
    assert rest.destination.group.user_id == f"user-{BAD}"


def test_i8_an_account_that_somebody_else_made_is_its_wallets_fault():
    chain = Chain()
    facts = chain.facts
    plan = plan_of([chain.destination(GOOD), chain.destination(BAD)], mint=facts)
    chain.open_account(BAD, owner=OUTSIDER.pubkey())
    suspicion, rest = simulated(chain, plan, facts)
    assert suspicion.code == rest.code == "account_owner_changed"
    assert rest.destination == plan.destinations[1]


def test_i8_a_payer_out_of_sol_shows_at_a_wallets_create_and_blames_nobody():
    chain = Chain()
    facts = chain.facts
    plan = plan_of([chain.destination(GOOD), chain.destination(BAD)], mint=facts)
    for lamports in (3_000_000, 0):
        chain.svm.set_account(AUTHORITY.pubkey(), Account(lamports, b"", Pubkey.default()))
        suspicion, rest = simulated(chain, plan, facts)
        assert suspicion == rest
        assert (rest.fault, rest.code, rest.destination) == (Fault.WAVE, "insufficient_funds", None)


def with_mint(chain: Chain, **places: bytes) -> None:
    view = chain.view(MINT.pubkey())
    assert view is not None
    data = bytearray(view.data)
    for place, value in places.items():
        offset = {"authority": 4, "supply": 36}[place]
        data[offset : offset + len(value)] = value
    chain.svm.set_account(MINT.pubkey(), Account(view.lamports, bytes(data), view.owner))


@pytest.mark.parametrize(
    "change",
    [
        lambda chain: with_mint(chain, authority=bytes(OUTSIDER.pubkey())),
        lambda chain: with_mint(chain, supply=b"\xff" * 8),
        lambda _: None,
    ],
    ids=["authority", "overflow", "decimals"],
)
def test_i8_faults_of_the_mint_stop_the_wave_and_blame_nobody(change, request):
    chain = Chain()
    chain.open_account(GOOD)
    facts = chain.facts
    if "decimals" in request.node.name:
        facts = replace(facts, decimals=8)
    plan = plan_of([chain.destination(GOOD)], mint=facts)
    change(chain)
    suspicion, rest = simulated(chain, plan, facts)
    assert suspicion == rest
    assert (rest.fault, rest.code, rest.destination) == (Fault.WAVE, "minting_refused", None)


def test_i8_too_many_instructions_split_the_transaction():
    chain = Chain()
    facts = chain.facts
    groups = tuple(chain.destination(number) for number in range(13))
    plan = replace(plan_of(groups[:1], mint=facts), destinations=groups)
    suspicion, rest = simulated(chain, plan, facts)
    assert suspicion == rest
    assert (rest.fault, rest.code) == (Fault.SPLIT, "limits_exceeded")


CHAIN = Chain()
FACTS = CHAIN.facts
TWO = plan_of([destination(GOOD, create=True), destination(BAD)], mint=FACTS)
ONE = plan_of([destination(GOOD)], mint=FACTS)


@pytest.mark.parametrize(
    ("err", "fault", "code"),
    [
        ("BlockhashNotFound", Fault.AGAIN, "blockhash_not_found"),
        ("AlreadyProcessed", Fault.AGAIN, "already_processed"),
        ("WouldExceedMaxAccountCostLimit", Fault.AGAIN, "cluster_busy"),
        ("MaxLoadedAccountsDataSizeExceeded", Fault.SPLIT, "limits_exceeded"),
        ("InsufficientFundsForFee", Fault.WAVE, "insufficient_funds"),
        ({"InsufficientFundsForRent": {"account_index": 0}}, Fault.WAVE, "insufficient_funds"),
        ("UnsupportedVersion", Fault.WAVE, "unsupported_version"),
        ("SanitizeFailure", Fault.WAVE, "transaction_refused"),
        ({"DuplicateInstruction": 1}, Fault.WAVE, "transaction_refused"),
        ({"InstructionError": [1, "ComputationalBudgetExceeded"]}, Fault.SPLIT, "limits_exceeded"),
        ({"InstructionError": [3, "InvalidInstructionData"]}, Fault.WAVE, "transaction_refused"),
        ({"InstructionError": [9, {"Custom": 17}]}, Fault.WAVE, "transaction_refused"),
        ({"InstructionError": [0, "InvalidSeeds"]}, Fault.WAVE, "minting_refused"),
        ({"InstructionError": [1, {"BorshIoError": "x"}]}, Fault.WAVE, "minting_refused"),
        ({"InstructionError": [1, {"Custom": "x"}]}, Fault.WAVE, "minting_refused"),
        ({"InstructionError": "garbage"}, Fault.WAVE, "transaction_refused"),
        ({"InstructionError": [None, "x"]}, Fault.WAVE, "transaction_refused"),
        ({}, Fault.WAVE, "transaction_refused"),
        (None, Fault.WAVE, "transaction_refused"),
    ],
)
def test_i8_what_is_no_wallets_fault_blames_none(err, fault, code):
    found = blamed(err, TWO, FACTS)
    assert (found.fault, found.code, found.destination) == (fault, code, None)
    assert found.why
    assert confirm(found, None, FACTS) == found


def test_a_single_destination_is_tried_again_instead_of_split():
    found = blamed({"InstructionError": [0, "ComputationalBudgetExceeded"]}, ONE, FACTS)
    assert (found.fault, found.code) == (Fault.AGAIN, "limits_exceeded")


def test_i8_a_suspicion_without_proof_lets_the_wallet_travel_alone():
    suspicion = blamed({"InstructionError": [2, {"Custom": 17}]}, TWO, FACTS)
    assert suspicion.destination == TWO.destinations[1]
    chain = Chain()
    chain.open_account(BAD)
    assert suspicion.destination is not None
    rest = confirm(suspicion, chain.view(suspicion.destination.token_account), FACTS)
    assert (rest.fault, rest.code) == (Fault.ALONE, "unproven")
    assert rest.destination == suspicion.destination
