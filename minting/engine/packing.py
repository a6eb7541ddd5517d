"""Groups to transactions: as few signatures as the format allows, and what they cost.

What a transaction can hold is counted before it is compiled, exactly:

* *executed instructions*, at most 64 (the runtime's trace): the memo, each mint, and 5 for a
  missing account (create, its size, the account, its immutable owner, its initialisation); 7 where
  the address holds some lamports but less than its rent (transfer, allocate and assign instead of
  one create), 6 where it holds enough. So ``1 + S * N + E`` with S = 6, 8 or 7.
* *accounts*, at most 64: every address that an instruction names. For the token program
  ``4 + E`` or ``6 + 2 * N + E``.
* *bytes*, at most 1,232 in v0 and 4,096 in v1 (SIMD-0385).

Measured with LiteSVM in the tests: 60 existing or 10 new and 3 existing wallets in v1, 19 or 9
in v0.

**One wallet in several transactions.** The transactions of a wave land in any order, or not at all.
So every transaction that pays a missing account carries its own idempotent create instruction, and
none depends on another; the rent is counted once, with the first. The sum of a plan is exact, while
the account's rent may be taken by another of its transactions than the one that shows it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from uuid import UUID

from solders.instruction import Instruction
from solders.pubkey import Pubkey

from minting.engine import instructions as build
from minting.engine.messages import MAX_SIZE, priority_fee
from minting.engine.programs.base import ReadableMintProgram
from minting.engine.receipts import MEMO_LENGTH
from minting.engine.types import (
    Cost,
    Destination,
    ExecutionLimits,
    MessageVersion,
    MintFacts,
    PlannedTransaction,
)

MAX_EXECUTED = 64
"""Instructions of a transaction, inner ones included (MAX_INSTRUCTION_TRACE_LENGTH)."""

MAX_ACCOUNTS = 64
"""Addresses of a transaction (SIMD-0385, and the locks of any transaction)."""

OPEN_TRANSACTIONS = 8
"""How many unfilled transactions wait for a group that still fits them (bounded first fit)."""

_CREATE = 5
_CREATE_ON_SOME_LAMPORTS = 7
_CREATE_ON_ENOUGH_LAMPORTS = 6


@dataclass(frozen=True, slots=True)
class Prices:
    """What the cluster charges now, in lamports."""

    signature_fee: int
    account_rent: int
    """Rent-exempt minimum of one token account of this mint (``MintFacts.account_size``)."""
    priority_fee: int = 0
    """Bid of one transaction; its real cost in v0 is told by ``messages.priority_fee``."""


def transaction_cost(
    destinations: Iterable[Destination],
    prices: Prices,
    limits: ExecutionLimits | None = None,
    *,
    version: MessageVersion = MessageVersion.V1,
    signatures: int = 1,
    rented: Collection[Pubkey] = (),
) -> Cost:
    """What one transaction takes from the fee payer.

    Args:
        destinations: What it pays.
        prices: What the cluster charges.
        limits: Limits once they are known; their priority fee replaces that of ``prices``.
        version: Format; in v0 the bid is rounded to whole micro-lamports per unit.
        signatures: One per key that signs.
        rented: Token accounts whose rent another transaction of the plan counts already.
    """
    held = {
        destination.token_account: destination.held_lamports
        for destination in destinations
        if destination.create and destination.token_account not in rented
    }
    return Cost(
        network_fee=prices.signature_fee * signatures,
        priority_fee=prices.priority_fee if limits is None else priority_fee(limits, version),
        rent=sum(max(0, prices.account_rent - lamports) for lamports in held.values()),
    )


def total_cost(plans: Iterable[PlannedTransaction]) -> Cost:
    """The sum over a plan."""
    return sum((plan.cost for plan in plans), start=Cost())


def pack(
    destinations: Sequence[Destination],
    *,
    batch_id: UUID,
    version: MessageVersion,
    max_tokens: int,
    groups_per_transaction: int,
    mint: MintFacts,
    program: ReadableMintProgram,
    authority: Pubkey,
    prices: Prices,
    payer: Pubkey | None = None,
) -> list[PlannedTransaction]:
    """Packs groups into transactions, in their order, each into the first that has room.

    The same destinations always give the same plan.

    Args:
        destinations: Groups with what was found at their token accounts.
        batch_id: The batch that asked; the memo names it.
        version: Format of every transaction.
        max_tokens: Base units that a transaction may mint; one reading above it goes alone.
        groups_per_transaction: At most so many groups in one transaction, at least 1.
        mint: The mint that pays.
        program: How a group is minted.
        authority: The mint authority.
        prices: What the cluster charges.
        payer: The fee payer, if it is not the authority: one more account and signature.

    Raises:
        ValueError: For several readings above ``max_tokens`` in one group (``group_by_wallet``
            splits them), or a group that no transaction can hold.
    """
    limit = _Limit(version, max_tokens, groups_per_transaction)
    items = [
        _Item.of(
            destination,
            mint=mint,
            program=program,
            authority=authority,
            payer=payer or authority,
            account_rent=prices.account_rent,
        )
        for destination in destinations
    ]
    empty = _Load.empty(version, authority, payer, bids=prices.priority_fee > 0)
    loads = _first_fit(items, empty, limit)
    return _priced(
        loads, batch_id, version, prices, signatures=len({authority, payer or authority})
    )


def _first_fit(items: Iterable[_Item], empty: _Load, limit: _Limit) -> list[_Load]:
    """Each item into the first unfilled load that has room, else into a new one."""
    loads: list[_Load] = []
    waiting: list[_Load] = []
    for item in items:
        _require_splittable(item.destination, limit.max_tokens)
        if not any(load.take(item, limit) for load in waiting):
            load = empty.copy()
            if not load.take(item, limit):
                raise ValueError("one group alone is too large for a transaction")
            loads.append(load)
            waiting.append(load)
        waiting = [load for load in waiting if not load.is_full(limit)][-OPEN_TRANSACTIONS:]
    return loads


def _priced(
    loads: Iterable[_Load],
    batch_id: UUID,
    version: MessageVersion,
    prices: Prices,
    *,
    signatures: int,
) -> list[PlannedTransaction]:
    """Plans with their costs; each account's rent is counted in the first that creates it."""
    plans = []
    rented: set[Pubkey] = set()
    for load in loads:
        cost = transaction_cost(
            load.destinations, prices, version=version, signatures=signatures, rented=rented
        )
        rented |= load.created
        plans.append(PlannedTransaction(batch_id, tuple(load.destinations), version, cost))
    return plans


def _require_splittable(destination: Destination, max_tokens: int) -> None:
    group = destination.group
    if group.base_units > max_tokens and len(group.payments) > 1:
        raise ValueError("a group above the limit of a transaction was not split")


@dataclass(frozen=True, slots=True)
class _Limit:
    """What may travel together."""

    version: MessageVersion
    max_tokens: int
    groups: int


@dataclass(frozen=True, slots=True)
class _Item:
    """A destination with its instructions, counted once."""

    destination: Destination
    create: Instruction | None
    mints: Sequence[Instruction]
    create_executed: int
    mint_executed: int

    @classmethod
    def of(
        cls,
        destination: Destination,
        *,
        mint: MintFacts,
        program: ReadableMintProgram,
        authority: Pubkey,
        payer: Pubkey,
        account_rent: int,
    ) -> _Item:
        if not destination.create:
            create, executed = None, 0
        else:
            create = build.create_token_account(destination, mint, payer)
            executed = _create_executed(destination.held_lamports, account_rent)
        mints = program.mint(destination, mint, authority)
        return cls(destination, create, mints, executed, program.executed)


def _create_executed(held_lamports: int, account_rent: int) -> int:
    """Instructions executed to create an account, by what its address holds already."""
    if held_lamports == 0:
        return _CREATE
    if held_lamports < account_rent:
        return _CREATE_ON_SOME_LAMPORTS
    return _CREATE_ON_ENOUGH_LAMPORTS


@dataclass(slots=True)
class _Load:
    """A transaction while it is being filled."""

    keys: frozenset[Pubkey]
    instructions: int
    instruction_bytes: int
    signatures: int
    executed: int
    tokens: int = 0
    destinations: list[Destination] = field(default_factory=list)
    created: set[Pubkey] = field(default_factory=set)

    @classmethod
    def empty(
        cls, version: MessageVersion, authority: Pubkey, payer: Pubkey | None, *, bids: bool
    ) -> _Load:
        """The memo alone, and in v0 the compute budget if there is a priority fee."""
        fixed = [build.memo("m" * MEMO_LENGTH)]
        if bids and version is MessageVersion.V0:
            fixed += [build.compute_unit_limit(1), build.compute_unit_price(1)]
        signers = {authority, payer or authority}
        return cls(
            keys=frozenset(signers) | _keys(fixed),
            instructions=len(fixed),
            instruction_bytes=sum(_instruction_size(each, version) for each in fixed),
            signatures=len(signers),
            executed=len(fixed),
        )

    def copy(self) -> _Load:
        """A load of its own with the same start."""
        return replace(self, destinations=[], created=set())

    def take(self, item: _Item, limit: _Limit) -> bool:
        """Adds a destination if everything still fits; says whether it did."""
        destination = item.destination
        # Within one transaction the first create serves all that are paid to the same account.
        creates = item.create is not None and destination.token_account not in self.created
        added = [*([item.create] if item.create is not None and creates else []), *item.mints]
        keys = self.keys | _keys(added)
        executed = self.executed + item.mint_executed + item.create_executed * creates
        size = self.instruction_bytes + sum(_instruction_size(ix, limit.version) for ix in added)
        count = self.instructions + len(added)
        tokens = self.tokens + destination.group.base_units
        if (
            (self.destinations and tokens > limit.max_tokens)
            or len(self.destinations) >= limit.groups
            or executed > MAX_EXECUTED
            or len(keys) > MAX_ACCOUNTS
            or message_size(limit.version, len(keys), count, size, self.signatures)
            > MAX_SIZE[limit.version]
        ):
            return False
        self.keys, self.executed, self.tokens = keys, executed, tokens
        self.instruction_bytes, self.instructions = size, count
        if creates:
            self.created.add(destination.token_account)
        self.destinations.append(replace(destination, create=creates))
        return True

    def is_full(self, limit: _Limit) -> bool:
        """Whether nothing at all can be added."""
        return (
            len(self.destinations) >= limit.groups
            or self.tokens >= limit.max_tokens
            or self.executed >= MAX_EXECUTED
            or len(self.keys) >= MAX_ACCOUNTS
        )


def message_size(
    version: MessageVersion, keys: int, instructions: int, instruction_bytes: int, signatures: int
) -> int:
    """Bytes of a whole transaction; v1 with all three limits in its config.

    v0: signatures, version, header (3), keys, blockhash, instructions, no lookup tables. v1
    (SIMD-0385): version, header (3), config mask (4), blockhash, two counts, keys, config (16).
    """
    if version is MessageVersion.V1:
        return 1 + 3 + 4 + 32 + 2 + 32 * keys + 16 + instruction_bytes + 64 * signatures
    counts = _compact(signatures) + _compact(keys) + _compact(instructions) + _compact(0)
    return 64 * signatures + 1 + 3 + 32 * keys + 32 + instruction_bytes + counts


def _instruction_size(instruction: Instruction, version: MessageVersion) -> int:
    """Bytes of a compiled instruction: v1 has a fixed header of 4, v0 compact lengths."""
    accounts, data = len(instruction.accounts), len(instruction.data)
    if version is MessageVersion.V1:
        return 4 + accounts + data
    return 1 + _compact(accounts) + accounts + _compact(data) + data


def _compact(length: int) -> int:
    """Bytes of Solana's compact-u16."""
    return 1 if length < 0x80 else 2


def _keys(instructions: Iterable[Instruction]) -> frozenset[Pubkey]:
    """Every address that instructions name, their programs included."""
    found: set[Pubkey] = set()
    for instruction in instructions:
        found.add(instruction.program_id)
        found.update(meta.pubkey for meta in instruction.accounts)
    return frozenset(found)
