"""Packing: bounds of the formats, costs, and that real programs execute what was packed."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from solders.pubkey import Pubkey
from solders.transaction_metadata import TransactionMetadata
from spl.token.constants import TOKEN_2022_PROGRAM_ID, TOKEN_PROGRAM_ID

from minting.engine.compose import build_message, unsigned
from minting.engine.loads import message_size
from minting.engine.packing import Prices, total_cost, transaction_cost
from minting.engine.programs.spl_token import SplTokenProgram
from minting.engine.types import Destination, ExecutionLimits, MessageVersion, PlannedTransaction
from tests.minting.engine.cast import (
    AUTHORITY,
    BLOCKHASH,
    FACTS,
    LIMITS,
    PAYER,
    PRICES,
    PROGRAM,
    RENT,
    UNBOUND,
    V0,
    V1,
    Chain,
    HotKey,
    destination,
    group,
    packed,
    sign,
)

BID = ExecutionLimits(300_000, 2**20, priority_fee_lamports=1_000)


def mixed(new: int, existing: int, *, held: int = 0) -> list[Destination]:
    return [
        *(destination(number, create=True, held=held) for number in range(new)),
        *(destination(number) for number in range(new, new + existing)),
    ]


def first(new: int, existing: int, version: MessageVersion, *, held: int = 0) -> int:
    """How many groups the first transaction takes."""
    return len(packed(mixed(new, existing, held=held), version=version)[0].destinations)


@pytest.mark.parametrize(
    ("new", "existing", "version", "held", "taken"),
    [
        (0, 70, V1, 0, 60),
        (20, 0, V1, 0, 10),
        (10, 70, V1, 0, 13),
        (20, 0, V1, 1, 7),
        (20, 0, V1, RENT, 9),
        (0, 40, V0, 0, 19),
        (20, 0, V0, 0, 9),
    ],
)
def test_a_transaction_holds_what_its_format_allows(new, existing, version, held, taken):
    assert first(new, existing, version, held=held) == taken


def test_a_fee_payer_apart_from_the_authority_takes_room_and_a_signature():
    for version, taken in ((V1, 59), (V0, 17)):
        plans = packed(mixed(0, 70), version=version, payer=PAYER.pubkey())
        assert len(plans[0].destinations) == taken
        assert plans[0].cost.network_fee == 10_000


def test_a_bid_in_v0_leaves_room_for_its_instructions():
    bidding = Prices(signature_fee=5_000, account_rent=RENT, unit_price=1_000)
    plans = packed(mixed(0, 40), version=V0, prices=bidding)
    assert len(plans[0].destinations) == 18


def test_one_group_each_while_callers_ask_for_one():
    plans = packed(mixed(3, 4), groups=1)
    assert [len(plan.destinations) for plan in plans] == [1] * 7


def test_a_missing_account_fills_the_gap_that_an_earlier_one_left():
    """First fit: the groups that follow still use the room of an unfilled transaction."""
    plans = packed([destination(number, create=number in (54, 55)) for number in range(59)])
    assert [len(plan.destinations) for plan in plans] == [57, 2]
    assert destination(56) in plans[0].destinations


def test_the_sum_of_a_transaction_stays_within_its_limit():
    plans = packed([destination(number, 40) for number in range(5)], max_tokens=100)
    assert [plan.base_units for plan in plans] == [80, 80, 40]


def test_a_reading_above_the_limit_goes_alone():
    groups = [destination(0, 10), destination(1, 101), destination(2, 10)]
    plans = packed(groups, max_tokens=100)
    assert [[each.group.base_units for each in plan.destinations] for plan in plans] == [
        [10, 10],
        [101],
    ]


def test_a_group_above_the_limit_must_have_been_split_before():
    with pytest.raises(ValueError, match="was not split"):
        packed([destination(0, 60, 60)], max_tokens=100)


class Caller(SplTokenProgram):
    """A program that mints by calling others."""

    def __init__(self, executed: int) -> None:
        self.executed = executed


def test_inner_instructions_of_a_program_count():
    groups = mixed(0, 40)
    assert len(packed(groups, program=Caller(2))[0].destinations) == 31
    with pytest.raises(ValueError, match="alone is too large"):
        packed(groups, program=Caller(64))


def test_rent_is_what_the_address_lacks_and_never_negative():
    groups = [
        destination(0, create=True),
        destination(1, create=True, held=1_000_000),
        destination(2, create=True, held=RENT + 1),
        destination(3),
    ]
    cost = transaction_cost(groups, PRICES)
    assert (cost.network_fee, cost.priority_fee) == (5_000, 0)
    assert cost.rent == RENT + (RENT - 1_000_000)


def test_one_wallet_in_two_transactions_creates_in_both_and_pays_rent_once():
    twice = [destination(0, 60, create=True), destination(0, 60, create=True)]
    plans = packed(twice, max_tokens=100)
    assert [plan.new_accounts for plan in plans] == [1, 1]
    assert [plan.cost.rent for plan in plans] == [RENT, 0]
    assert total_cost(plans).rent == RENT


def test_one_wallet_twice_in_one_transaction_creates_once():
    (plan,) = packed([destination(0, 60, create=True), destination(0, 60, create=True)])
    assert [each.create for each in plan.destinations] == [True, False]
    assert plan.cost.rent == RENT


def test_a_bid_costs_whole_micro_lamports_in_v0():
    limits = ExecutionLimits(333_333, 2**20, priority_fee_lamports=7)
    assert transaction_cost([], PRICES, limits, version=V1).priority_fee == 7
    assert transaction_cost([], PRICES, limits, version=V0).priority_fee == 7
    odd = ExecutionLimits(1_400_000, 2**20, priority_fee_lamports=1)
    assert transaction_cost([], PRICES, odd, version=V0).priority_fee == 0


def counted(plan: PlannedTransaction, payer: Pubkey | None, limits: ExecutionLimits) -> int:
    message = build_message(
        plan,
        mint=FACTS,
        program=PROGRAM,
        authority=AUTHORITY.pubkey(),
        payer=payer,
        blockhash=BLOCKHASH.value,
        limits=limits,
    )
    keys, size = len(message.account_keys), len(unsigned(message))
    header = 4 if plan.version is V1 else 3  # program, lengths of accounts and data
    body = sum(header + len(each.accounts) + len(each.data) for each in message.instructions)
    signatures = message.header.num_required_signatures
    assert keys <= 64
    assert size <= (4_096 if plan.version is V1 else 1_232)
    assert message_size(plan.version, keys, len(message.instructions), body, signatures) == size
    return size


@settings(max_examples=60, deadline=None)
@given(
    created=st.lists(st.booleans(), min_size=1, max_size=75),
    version=st.sampled_from([V0, V1]),
    bids=st.booleans(),
    apart=st.booleans(),
    max_tokens=st.sampled_from([UNBOUND, 5_000]),
)
def test_i7_packing_loses_no_group_and_fits_its_format(created, version, bids, apart, max_tokens):
    groups = [destination(number, create=create) for number, create in enumerate(created)]
    payer = PAYER.pubkey() if apart else None
    prices = Prices(5_000, RENT, unit_price=1_000 if bids else 0)
    plans = packed(groups, version=version, prices=prices, payer=payer, max_tokens=max_tokens)
    paid = [each.group for plan in plans for each in plan.destinations]
    assert sorted(paid, key=lambda each: each.user_id) == sorted(
        (each.group for each in groups), key=lambda each: each.user_id
    )
    for plan in plans:
        new, existing = plan.new_accounts, len(plan.destinations) - plan.new_accounts
        assert 1 + 6 * new + existing <= 64
        assert plan.base_units <= max_tokens
        if version is V1:
            counted(plan, payer, ExecutionLimits(300_000, 2**20, 1_000))
        else:
            counted(plan, payer, BID if bids else LIMITS)
    assert total_cost(plans).rent == RENT * sum(created)
    assert plans == packed(
        groups, version=version, prices=prices, payer=payer, max_tokens=max_tokens
    )


def signed_on(chain: Chain, plan: PlannedTransaction) -> bytes:
    signed = asyncio.run(
        sign(
            plan,
            mint=chain.facts,
            program=PROGRAM,
            authority=AUTHORITY.pubkey(),
            blockhash=chain.blockhash,
            limits=LIMITS,
            signers=[HotKey(AUTHORITY)],
        )
    )
    return signed.raw


def landed(chain: Chain, new: int, existing: int, version: MessageVersion) -> None:
    """Packs what the chain holds, sends it, and compares balances with the plan to the lamport."""
    for number in range(new, new + existing):
        chain.open_account(number)
    groups = [chain.destination(number, 1_000 + number) for number in range(new + existing)]
    assert sum(each.create for each in groups) == new
    (plan,) = packed(groups, version=version, mint=chain.facts, prices=chain.prices)
    raw = signed_on(chain, plan)
    before = chain.lamports(AUTHORITY.pubkey())
    outcome = chain.send(raw)
    assert isinstance(outcome, TransactionMetadata), outcome
    assert before - chain.lamports(AUTHORITY.pubkey()) == plan.cost.total
    assert all(chain.balance(number) == 1_000 + number for number in range(new + existing))
    assert chain.facts.supply == plan.base_units


@pytest.mark.parametrize("token_program", [TOKEN_PROGRAM_ID, TOKEN_2022_PROGRAM_ID])
@pytest.mark.parametrize(
    ("new", "existing", "version"),
    [(0, 60, V1), (10, 3, V1), (0, 19, V0), (9, 0, V0), (1, 0, V1), (1, 0, V0)],
)
def test_the_chain_executes_full_transactions_at_the_planned_cost(
    new, existing, version, token_program
):
    landed(Chain(token_program), new, existing, version)


@pytest.mark.parametrize("token_program", [TOKEN_PROGRAM_ID, TOKEN_2022_PROGRAM_ID])
@pytest.mark.parametrize(("share", "new", "existing"), [(1, 7, 7), (100, 9, 0)])
def test_the_chain_executes_prefunded_addresses_at_the_planned_cost(
    share, new, existing, token_program
):
    """Lamports at a missing account's address: 8 instructions with some, 7 with enough."""
    chain = Chain(token_program)
    for number in range(new):
        chain.prefund(number, max(1, chain.rent * share // 100))
    landed(chain, new, existing, V1)


def test_one_more_instruction_than_counted_is_refused_by_the_chain():
    """The bound is the runtime's, not ours alone: 10 new and 4 existing execute 65."""
    chain = Chain()
    for number in range(10, 14):
        chain.open_account(number)
    groups = [chain.destination(number) for number in range(14)]
    plans = packed(groups, mint=chain.facts)
    assert [len(plan.destinations) for plan in plans] == [13, 1]
    forced = PlannedTransaction(plans[0].batch_id, tuple(groups), V1, plans[0].cost)
    raw = signed_on(chain, forced)
    assert "MaxInstructionTraceLengthExceeded" in str(chain.send(raw))


@pytest.mark.parametrize("max_tokens", [100, 1_000], ids=["two transactions", "one"])
def test_one_wallet_of_two_owners_is_paid_in_any_order_for_one_rent(max_tokens):
    chain = Chain()
    mine = chain.destination(0, 60)
    theirs = replace(mine, group=replace(group(1, 70), wallet=mine.group.wallet))
    plans = packed([mine, theirs], mint=chain.facts, prices=chain.prices, max_tokens=max_tokens)
    before = chain.lamports(AUTHORITY.pubkey())
    for plan in reversed(plans):
        outcome = chain.send(signed_on(chain, plan))
        assert isinstance(outcome, TransactionMetadata), outcome
    assert chain.balance(0) == 130
    assert before - chain.lamports(AUTHORITY.pubkey()) == total_cost(plans).total
