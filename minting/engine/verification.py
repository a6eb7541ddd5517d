"""I6: the bytes about to be journalled are decoded again and compared with a whitelist.

Two layers. The first reads the bytes with no help from what built them, so that a fault in a
builder shows. The second builds the message again and wants it equal to the last byte, so that
nothing else can be in it. A mismatch stops the batch.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NoReturn

from solana.constants import SYSTEM_PROGRAM_ID
from solders.compute_budget import ID as COMPUTE_BUDGET_ID
from solders.hash import Hash
from solders.instruction import AccountMeta, CompiledInstruction, Instruction
from solders.message import Message as LegacyMessage
from solders.message import MessageV0, MessageV1, to_bytes_versioned
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction
from spl.memo.constants import MEMO_PROGRAM_ID
from spl.token.constants import ASSOCIATED_TOKEN_PROGRAM_ID

from minting.engine.errors import VerificationFailed
from minting.engine.messages import MAX_SIZE, Message, build_message, default_units
from minting.engine.programs.base import ReadableMintProgram, signers_of
from minting.engine.receipts import parse_memo, plan_root
from minting.engine.types import (
    U64_MAX,
    ExecutionLimits,
    MessageVersion,
    MintFacts,
    PlannedTransaction,
)
from minting.engine.wallets import associated_token_address

_CREATE_IDEMPOTENT = b"\x01"
_SET_UNIT_LIMIT, _SET_UNIT_PRICE = 2, 3


def verify(
    raw: bytes,
    *,
    plan: PlannedTransaction,
    mint: MintFacts,
    program: ReadableMintProgram,
    authority: Pubkey,
    blockhash: str,
    limits: ExecutionLimits,
    max_priority_fee: int,
    payer: Pubkey | None = None,
) -> None:
    """Compares signed bytes with the plan they were made from (I6).

    Args:
        raw: The whole signed transaction.
        plan: What it has to pay.
        mint: The mint that pays.
        program: How a group is minted.
        authority: The mint authority.
        blockhash: Base58.
        limits: What it has to ask for.
        max_priority_fee: Cap in lamports (``BLOCKCHAIN_MAX_PRIORITY_FEE``).
        payer: The fee payer, if it is not the authority.

    Raises:
        VerificationFailed: Its text starts with the check that failed: ``encoding``, ``version``,
            ``signers``, ``signatures``, ``blockhash``, ``programs``, ``creates``, ``mints``,
            ``destinations``, ``memo``, ``limits``, ``priority fee`` or ``message``.
    """
    fee_payer = payer or authority
    transaction, message = _decode(raw, plan.version)
    _check_signers(transaction, message, signers_of(program, authority, payer))
    if message.recent_blockhash != Hash.from_string(blockhash):
        _fail("blockhash", f"{message.recent_blockhash} instead of {blockhash}")
    instructions = _decompile(message)
    _check_programs(instructions, mint=mint, program=program)
    _check_creates(instructions, plan=plan, mint=mint, payer=fee_payer)
    _check_mints(instructions, plan=plan, mint=mint, program=program, authority=authority)
    _check_memo(instructions, plan)
    _check_limits(message, instructions, limits=limits, max_priority_fee=max_priority_fee)
    expected = build_message(
        plan,
        mint=mint,
        program=program,
        authority=authority,
        payer=payer,
        blockhash=blockhash,
        limits=limits,
    )
    if to_bytes_versioned(message) != to_bytes_versioned(expected):
        _fail("message", "differs from what the plan makes")


def _fail(check: str, detail: str) -> NoReturn:
    raise VerificationFailed(f"{check}: {detail}")


def _decode(raw: bytes, version: MessageVersion) -> tuple[VersionedTransaction, Message]:
    if len(raw) > MAX_SIZE[version]:
        _fail("encoding", f"{len(raw)} bytes are too many")
    try:
        transaction = VersionedTransaction.from_bytes(raw)
        transaction.sanitize()
    except Exception as error:  # solders raises several unrelated kinds
        raise VerificationFailed(f"encoding: {error}") from error
    if bytes(transaction) != raw:
        _fail("encoding", "decodes to other bytes")
    message = transaction.message
    if isinstance(message, LegacyMessage) or str(transaction.version()) != version.value:
        _fail("version", f"{transaction.version()} instead of {version}")
    return transaction, message


def _check_signers(
    transaction: VersionedTransaction, message: Message, expected: Sequence[Pubkey]
) -> None:
    """The fee payer first, then nobody but the configured keys, each with a valid signature."""
    keys = list(expected)
    signers = message.account_keys[: message.header.num_required_signatures]
    # Behind the fee payer the format orders them by their rights and bytes.
    if signers[:1] != keys[:1] or sorted(signers, key=bytes) != sorted(keys, key=bytes):
        _fail("signers", f"{[str(key) for key in signers]}")
    valid = transaction.verify_with_results()
    if len(valid) != len(keys) or not all(valid):
        _fail("signatures", f"{valid.count(False)} of {len(valid)} are not valid")


def _decompile(message: Message) -> list[Instruction]:
    """Instructions with their addresses; tables would hide them."""
    if isinstance(message, MessageV0) and message.address_table_lookups:
        _fail("programs", "an address lookup table")
    return [_instruction(message, compiled) for compiled in message.instructions]


def _instruction(message: Message, compiled: CompiledInstruction) -> Instruction:
    keys = message.account_keys
    metas = [
        AccountMeta(keys[index], message.is_signer(index), message.is_maybe_writable(index))
        for index in compiled.accounts
    ]
    return Instruction(keys[compiled.program_id_index], compiled.data, metas)


def _check_programs(
    instructions: Sequence[Instruction], *, mint: MintFacts, program: ReadableMintProgram
) -> None:
    allowed = {
        program.address(mint),
        ASSOCIATED_TOKEN_PROGRAM_ID,
        MEMO_PROGRAM_ID,
        COMPUTE_BUDGET_ID,
    }
    for instruction in instructions:
        if instruction.program_id not in allowed:
            _fail("programs", f"{instruction.program_id} is called")


def _check_creates(
    instructions: Sequence[Instruction],
    *,
    plan: PlannedTransaction,
    mint: MintFacts,
    payer: Pubkey,
) -> None:
    """One idempotent create for each missing account of the plan, paid by the fee payer."""
    found = [
        ([meta.pubkey for meta in instruction.accounts], instruction.data)
        for instruction in instructions
        if instruction.program_id == ASSOCIATED_TOKEN_PROGRAM_ID
    ]
    wallets = [destination.group.wallet for destination in plan.destinations if destination.create]
    expected = [
        (
            [
                payer,
                associated_token_address(wallet, mint),
                wallet,
                mint.address,
                SYSTEM_PROGRAM_ID,
                mint.token_program,
            ],
            _CREATE_IDEMPOTENT,
        )
        for wallet in wallets
    ]
    if found != expected:
        _fail("creates", f"{len(found)} accounts created, not the {len(expected)} of the plan")


def _check_mints(
    instructions: Sequence[Instruction],
    *,
    plan: PlannedTransaction,
    mint: MintFacts,
    program: ReadableMintProgram,
    authority: Pubkey,
) -> None:
    """Per token account, over all instructions: the sum of the readings it pays, no more."""
    minted: Counter[Pubkey] = Counter()
    for instruction in instructions:
        if instruction.program_id != program.address(mint):
            continue
        try:
            read = program.read(instruction)
        except ValueError as error:
            raise VerificationFailed(f"mints: {error}") from error
        if read.mint != mint.address or read.authority != authority:
            _fail("mints", f"{read.mint} by {read.authority}")
        if read.decimals not in (None, mint.decimals):
            _fail("mints", f"{read.decimals} decimals instead of {mint.decimals}")
        minted[read.token_account] += read.base_units
    if minted != _due(plan, mint):
        _fail("destinations", "token accounts or sums differ from the readings paid")


def _due(plan: PlannedTransaction, mint: MintFacts) -> Counter[Pubkey]:
    """Base units by token account, from the readings and wallets alone."""
    due: Counter[Pubkey] = Counter()
    readings: set[bytes] = set()
    for destination in plan.destinations:
        token_account = associated_token_address(destination.group.wallet, mint)
        if token_account != destination.token_account:
            _fail("destinations", f"{destination.token_account} is not its wallet's account")
        for payment in destination.group.payments:
            if not 0 < payment.base_units <= U64_MAX:
                _fail("destinations", f"reading {payment.reading_id} earns no u64")
            if payment.reading_id.bytes in readings:
                _fail("destinations", f"reading {payment.reading_id} is paid twice")
            readings.add(payment.reading_id.bytes)
            due[token_account] += payment.base_units
    return due


def _check_memo(instructions: Sequence[Instruction], plan: PlannedTransaction) -> None:
    memos = [each for each in instructions if each.program_id == MEMO_PROGRAM_ID]
    if len(memos) != 1 or memos[0].accounts:
        _fail("memo", f"{len(memos)} memos, or one with signers")
    try:
        parsed = parse_memo(memos[0].data.decode("ascii"))
    except UnicodeDecodeError:
        parsed = None
    if parsed != (plan.batch_id, plan_root(plan)):
        _fail("memo", "names another batch or root")


def _check_limits(
    message: Message,
    instructions: Sequence[Instruction],
    *,
    limits: ExecutionLimits,
    max_priority_fee: int,
) -> None:
    """Limits are those wanted and not zero; the priority fee is within its cap."""
    budget = [each for each in instructions if each.program_id == COMPUTE_BUDGET_ID]
    if isinstance(message, MessageV1):
        config = message.config
        units, fee = config.compute_unit_limit or 0, config.priority_fee or 0
        loaded = config.loaded_accounts_data_size_limit or 0
        if budget or config.heap_size is not None or loaded != limits.loaded_data_bytes:
            _fail("limits", f"{loaded} bytes of loaded data, {len(budget)} budget instructions")
    else:
        units, fee = _v0_budget(budget, default_units(len(instructions) - len(budget)))
    if units < 1 or units < limits.compute_units:
        _fail("limits", f"{units} compute units instead of {limits.compute_units}")
    if fee > min(max_priority_fee, limits.priority_fee_lamports):
        _fail("priority fee", f"{fee} lamports are above the cap or the plan")


def _v0_budget(budget: Sequence[Instruction], default: int) -> tuple[int, int]:
    """(compute units, priority fee in lamports) that v0's instructions ask for."""
    asked: dict[int, int] = {}
    for instruction in budget:
        kind = instruction.data[0] if instruction.data else None
        if kind not in (_SET_UNIT_LIMIT, _SET_UNIT_PRICE) or kind in asked:
            _fail("limits", f"compute-budget instruction {kind}")
        asked[kind] = int.from_bytes(instruction.data[1:], "little")
    units = asked.get(_SET_UNIT_LIMIT, default)
    return units, -(-asked.get(_SET_UNIT_PRICE, 0) * units // 1_000_000)
