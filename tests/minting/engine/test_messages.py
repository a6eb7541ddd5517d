from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from solders.compute_budget import ID as COMPUTE_BUDGET_ID
from solders.message import MessageV0, MessageV1
from solders.signature import Signature
from solders.transaction import VersionedTransaction
from solders.transaction_metadata import SimulatedTransactionInfo
from spl.token import instructions as library
from spl.token.models import MintToCheckedParams

from minting.engine.compose import (
    build_message,
    limits_from,
    priority_fee,
    unsigned_for_simulation,
    v1_probe,
)
from minting.engine.instructions import create_token_account, mint_to_checked
from minting.engine.programs.spl_token import SplTokenProgram
from minting.engine.types import ExecutionLimits, Simulation
from tests.minting.engine.cast import (
    AUTHORITY,
    BLOCKHASH,
    FACTS,
    LIMITS,
    PAYER,
    PROGRAM,
    V0,
    V1,
    Chain,
    destination,
    packed,
    plan_of,
)

KIB = 1024


def built(plan, limits: ExecutionLimits = LIMITS) -> MessageV0 | MessageV1:
    return build_message(
        plan,
        mint=FACTS,
        program=PROGRAM,
        authority=AUTHORITY.pubkey(),
        blockhash=BLOCKHASH.value,
        limits=limits,
    )


def budget_of(message: MessageV0 | MessageV1) -> list[bytes]:
    keys = message.account_keys
    return [
        each.data
        for each in message.instructions
        if keys[each.program_id_index] == COMPUTE_BUDGET_ID
    ]


def simulation(units: int, loaded: int) -> Simulation:
    return Simulation(1, None, None, compute_units=units, loaded_data_bytes=loaded, logs=())


@pytest.mark.parametrize(
    ("units", "loaded", "limits"),
    [
        (9_947, 117_000, (16_937, 224 * KIB)),
        (148_000, 208_000, (182_600, 320 * KIB)),
        (1, 1, (5_002, 96 * KIB)),
        (1_400_000, 64 * KIB * KIB, (1_400_000, 64 * KIB * KIB)),
        (0, 0, (1_400_000, 64 * KIB * KIB)),
    ],
)
def test_limits_leave_room_above_what_was_used(units, loaded, limits):
    found = limits_from(simulation(units, loaded))
    assert (found.compute_units, found.loaded_data_bytes) == limits
    assert found.priority_fee_lamports == 0


@given(units=st.integers(1, 1_000_000), loaded=st.integers(1, 50 * KIB * KIB))
def test_limits_are_never_below_what_was_used(units, loaded):
    found = limits_from(simulation(units, loaded))
    assert units < found.compute_units <= 1_400_000
    assert loaded < found.loaded_data_bytes <= 64 * KIB * KIB
    assert found.loaded_data_bytes % (32 * KIB) == 0


def test_the_bid_is_rounded_up_and_capped():
    used = simulation(100_000, 1)
    assert limits_from(used, unit_price=1, max_priority_fee=9).priority_fee_lamports == 1
    assert limits_from(used, unit_price=1_000, max_priority_fee=9_999).priority_fee_lamports == 125
    assert limits_from(used, unit_price=1_000, max_priority_fee=100).priority_fee_lamports == 100
    assert limits_from(used, unit_price=1_000).priority_fee_lamports == 0


@given(fee=st.integers(0, 10**7), units=st.integers(1, 1_400_000))
def test_a_bid_in_v0_never_costs_more_than_was_wanted(fee, units):
    limits = ExecutionLimits(units, 1, priority_fee_lamports=fee)
    assert priority_fee(limits, V1) == fee
    assert fee - 2 <= priority_fee(limits, V0) <= fee


def test_v1_carries_all_limits_in_its_config():
    message = built(plan_of([destination(0)]), ExecutionLimits(7_000, 32 * KIB, 5))
    assert isinstance(message, MessageV1)
    config = message.config
    assert (config.compute_unit_limit, config.loaded_accounts_data_size_limit) == (7_000, 32 * KIB)
    assert (config.priority_fee, config.heap_size) == (5, None)
    assert budget_of(message) == []


def test_v0_carries_a_compute_budget_only_where_it_is_needed():
    plan = plan_of([destination(0)], V0)  # two instructions: 400,000 units by default
    assert budget_of(built(plan, ExecutionLimits(400_000, 1))) == []
    assert [data[0] for data in budget_of(built(plan, ExecutionLimits(400_001, 1)))] == [2]
    assert [data[0] for data in budget_of(built(plan, ExecutionLimits(1_000, 1, 5)))] == [2, 3]


@pytest.mark.parametrize("limits", [ExecutionLimits(0, 1), ExecutionLimits(1, 0)])
def test_a_limit_of_zero_is_never_built(limits):
    with pytest.raises(ValueError, match="paid failure"):
        built(plan_of([destination(0)]), limits)


def test_a_plan_too_large_for_its_format_is_never_built():
    full = plan_of([destination(number) for number in range(19)], V0)
    with pytest.raises(ValueError, match="too many for version 0"):
        built(full, ExecutionLimits(1_000, 1, priority_fee_lamports=5))


@pytest.mark.parametrize("version", [V0, V1])
@pytest.mark.parametrize("create", [True, False])
def test_full_transactions_simulate_unsigned(version, create):
    chain = Chain()
    groups = [destination(number, create=create) for number in range(60)]
    if not create:
        for number in range(60):
            chain.open_account(number)
    for plan in packed(groups, version=version)[:1]:
        raw = unsigned_for_simulation(
            plan, mint=FACTS, program=PROGRAM, authority=AUTHORITY.pubkey()
        )
        assert VersionedTransaction.from_bytes(raw).signatures == [Signature.default()]
        outcome = chain.simulate(raw)
        assert isinstance(outcome, SimulatedTransactionInfo), outcome
        used = outcome.meta().compute_units_consumed()
        assert built(plan, limits_from(simulation(used, 200_000)))


def test_the_probe_is_a_v1_transaction_that_executes():
    raw = v1_probe(AUTHORITY.pubkey())
    assert VersionedTransaction.from_bytes(raw).version() == 1
    assert isinstance(Chain().simulate(raw), SimulatedTransactionInfo)


def test_what_mints_is_read_alike_by_us_and_by_the_library():
    (instruction,) = PROGRAM.mint(destination(3, 2**63), FACTS, AUTHORITY.pubkey())
    ours, theirs = SplTokenProgram().read(instruction), library.decode_mint_to_checked(instruction)
    assert (ours.mint, ours.token_account) == (theirs.mint, theirs.dest)
    assert (ours.authority, ours.base_units) == (theirs.mint_authority, theirs.amount)
    assert ours.decimals == theirs.decimals


@given(number=st.integers(0, 50), units=st.integers(1, 2**64 - 1))
def test_what_we_write_out_is_what_the_library_builds(number, units):
    paid, authority = destination(number, units), AUTHORITY.pubkey()

    assert mint_to_checked(paid, FACTS, authority) == library.mint_to_checked(
        MintToCheckedParams(
            program_id=FACTS.token_program,
            mint=FACTS.address,
            dest=paid.token_account,
            mint_authority=authority,
            amount=units,
            decimals=FACTS.decimals,
        )
    )
    assert create_token_account(
        paid, FACTS, PAYER.pubkey()
    ) == library.create_idempotent_associated_token_account(
        PAYER.pubkey(), paid.group.wallet, FACTS.address, FACTS.token_program
    )
