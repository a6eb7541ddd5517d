"""From a plan to the message that is signed, and the limits that it asks for.

Order of instructions: for each destination its create instruction (if the account is missing) and
its mint, then the memo, then in v0 the compute budget where it is needed. The compute budget
stands last, so that an instruction's index names the same destination with and without it.
"""

from __future__ import annotations

from collections.abc import Sequence

from solders.hash import Hash
from solders.instruction import Instruction
from solders.message import MessageV0, MessageV1, TransactionConfig
from solders.message.v1 import MAX_TRANSACTION_SIZE as MAX_V1_SIZE
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.transaction import VersionedTransaction

from minting.engine import instructions as build
from minting.engine.receipts import memo_text, plan_root
from minting.engine.types import (
    Destination,
    ExecutionLimits,
    MessageVersion,
    MintFacts,
    MintProgram,
    PlannedTransaction,
    Simulation,
)

Message = MessageV0 | MessageV1

MAX_SIZE = {MessageVersion.V0: 1_232, MessageVersion.V1: MAX_V1_SIZE}
"""Bytes of a whole transaction: IPv6's minimum MTU less headers; 4,096 (SIMD-0385)."""

MAX_COMPUTE_UNITS = 1_400_000
MAX_LOADED_DATA = 64 * 1024 * 1024
DEFAULT_UNITS_PER_INSTRUCTION = 200_000
"""Compute units that v0 grants per instruction of a program that is not built in."""

LOADED_DATA_STEP = 32 * 1024
"""Loaded data is charged by whole pages of this size."""

MICRO = 1_000_000

UNLIMITED = ExecutionLimits(MAX_COMPUTE_UNITS, MAX_LOADED_DATA)
"""For simulating: a limit that is too small would hide what is needed."""


def numbered_instructions(
    plan: PlannedTransaction,
    *,
    mint: MintFacts,
    program: MintProgram,
    authority: Pubkey,
    payer: Pubkey | None = None,
) -> list[tuple[Destination | None, Instruction]]:
    """Every instruction of a plan in its order, with the destination that it serves.

    The memo serves none.
    """
    numbered: list[tuple[Destination | None, Instruction]] = []
    for destination in plan.destinations:
        if destination.create:
            create = build.create_token_account(destination, mint, payer or authority)
            numbered.append((destination, create))
        numbered += [
            (destination, minting) for minting in program.mint(destination, mint, authority)
        ]
    numbered.append((None, build.memo(memo_text(plan.batch_id, plan_root(plan)))))
    return numbered


def build_message(
    plan: PlannedTransaction,
    *,
    mint: MintFacts,
    program: MintProgram,
    authority: Pubkey,
    blockhash: str,
    limits: ExecutionLimits,
    payer: Pubkey | None = None,
) -> Message:
    """The message of a plan.

    Args:
        plan: What is paid.
        mint: The mint that pays.
        program: How a group is minted.
        authority: The mint authority (or the program's signer).
        blockhash: Base58; dates the transaction.
        limits: What to ask of the block. v1 carries all of them; v0 only a compute unit limit
            above its default, or limit and price if there is a priority fee.
        payer: Pays fees and rent; the authority unless told otherwise.

    Raises:
        ValueError: If a limit is zero or the message is larger than its format allows.
    """
    if limits.compute_units < 1 or limits.loaded_data_bytes < 1:
        raise ValueError("a limit of zero lands as a paid failure")
    numbered = numbered_instructions(
        plan, mint=mint, program=program, authority=authority, payer=payer
    )
    instructions = [instruction for _, instruction in numbered]
    message: Message
    if plan.version is MessageVersion.V1:
        config = TransactionConfig(
            priority_fee=limits.priority_fee_lamports or None,
            compute_unit_limit=limits.compute_units,
            loaded_accounts_data_size_limit=limits.loaded_data_bytes,
        )
        recent = Hash.from_string(blockhash)
        message = MessageV1.try_compile(payer or authority, instructions, recent, config)
    else:
        instructions += v0_budget(limits, len(instructions))
        recent = Hash.from_string(blockhash)
        message = MessageV0.try_compile(payer or authority, instructions, [], recent)
    size = len(unsigned(message))
    if size > MAX_SIZE[plan.version]:
        raise ValueError(f"{size} bytes are too many for version {plan.version}")
    return message


def v0_budget(limits: ExecutionLimits, instructions: int) -> list[Instruction]:
    """Compute-budget instructions that a v0 message needs: none, a limit, or limit and price.

    The loaded-data limit stays at its default, the maximum: 40 bytes are two wallets' worth.
    """
    price = v0_price(limits)
    if price:
        return [
            build.compute_unit_limit(limits.compute_units),
            build.compute_unit_price(price),
        ]
    if limits.compute_units > default_units(instructions):
        return [build.compute_unit_limit(limits.compute_units)]
    return []


def default_units(instructions: int) -> int:
    """Compute units that v0 grants so many instructions without being asked."""
    return min(MAX_COMPUTE_UNITS, DEFAULT_UNITS_PER_INSTRUCTION * instructions)


def v0_price(limits: ExecutionLimits) -> int:
    """Micro-lamports per compute unit that cost at most the wanted priority fee."""
    return limits.priority_fee_lamports * MICRO // limits.compute_units


def priority_fee(limits: ExecutionLimits, version: MessageVersion) -> int:
    """Lamports that the bid really costs: in v0 the price is whole micro-lamports per unit."""
    if version is MessageVersion.V1:
        return limits.priority_fee_lamports
    return _ceil_div(v0_price(limits) * limits.compute_units, MICRO)


def limits_from(
    simulation: Simulation, *, unit_price: int = 0, max_priority_fee: int = 0
) -> ExecutionLimits:
    """What to ask for after a simulation: used * 1.2 + 5,000 units, loaded * 1.25 + 64 KiB.

    Loaded data is rounded up to whole 32 KiB. A number that the node did not tell (0) becomes the
    maximum: too much costs room in a block, too little lands as a paid failure.

    Args:
        simulation: One without error.
        unit_price: Bid in micro-lamports per compute unit; 0 for none.
        max_priority_fee: Cap in lamports of this transaction.
    """
    units, loaded = simulation.compute_units, simulation.loaded_data_bytes
    compute_units = _ceil_div(units * 6, 5) + 5_000 if units else MAX_COMPUTE_UNITS
    data = _ceil_div(loaded * 5, 4) + 64 * 1024 if loaded else MAX_LOADED_DATA
    compute_units = min(compute_units, MAX_COMPUTE_UNITS)
    return ExecutionLimits(
        compute_units=compute_units,
        loaded_data_bytes=min(
            _ceil_div(data, LOADED_DATA_STEP) * LOADED_DATA_STEP, MAX_LOADED_DATA
        ),
        priority_fee_lamports=min(max_priority_fee, _ceil_div(unit_price * compute_units, MICRO)),
    )


def unsigned(message: Message, signatures: Sequence[Signature] | None = None) -> bytes:
    """A whole transaction; null signatures stand in for those that are missing."""
    null = [Signature.default()] * message.header.num_required_signatures
    return bytes(VersionedTransaction.populate(message, signatures or null))


def unsigned_for_simulation(
    plan: PlannedTransaction,
    *,
    mint: MintFacts,
    program: MintProgram,
    authority: Pubkey,
    payer: Pubkey | None = None,
) -> bytes:
    """The plan with maximal limits, null signatures and a null blockhash.

    Wants ``replaceRecentBlockhash`` and ``sigVerify: false``.
    """
    message = build_message(
        plan,
        mint=mint,
        program=program,
        authority=authority,
        payer=payer,
        blockhash=str(Hash.default()),
        limits=UNLIMITED,
    )
    return unsigned(message)


def v1_probe(payer: Pubkey) -> bytes:
    """An unsigned v1 transaction with a memo and nothing else: does this cluster take v1?"""
    config = TransactionConfig(
        compute_unit_limit=MAX_COMPUTE_UNITS, loaded_accounts_data_size_limit=MAX_LOADED_DATA
    )
    return unsigned(MessageV1.try_compile(payer, [build.memo("gt1?")], Hash.default(), config))


def _ceil_div(dividend: int, divisor: int) -> int:
    return -(-dividend // divisor)
