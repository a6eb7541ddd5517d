"""A transaction while it is being filled: what still fits is counted before it is compiled.

Exactly:

* *executed instructions*, at most 64 (the runtime's trace): the memo, each mint, and 5 for a
  missing account (create, its size, the account, its immutable owner, its initialisation); 7 where
  the address holds some lamports but less than its rent (transfer, allocate and assign instead of
  one create), 6 where it holds enough. So ``1 + S * N + E`` with S = 6, 8 or 7.
* *accounts*, at most 64: every address that an instruction names. For the token program
  ``4 + E`` or ``6 + 2 * N + E``.
* *bytes*, at most 1,232 in v0 and 4,096 in v1 (SIMD-0385).
* *compute units*, at most 1,162,500 used: where a program mints, as its simulation said.

Measured with LiteSVM in the tests: 60 existing or 10 new and 3 existing wallets in v1, 19 or 9
in v0.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from solders.instruction import Instruction
from solders.pubkey import Pubkey

from minting.engine import instructions as build
from minting.engine.messages import MAX_COMPUTE_UNITS, MAX_SIZE
from minting.engine.programs.base import ReadableMintProgram
from minting.engine.receipts import MEMO_LENGTH
from minting.engine.types import Destination, MessageVersion, MintFacts

MAX_EXECUTED = 64
"""Instructions of a transaction, inner ones included (MAX_INSTRUCTION_TRACE_LENGTH)."""

MAX_ACCOUNTS = 64
"""Addresses of a transaction (SIMD-0385, and the locks of any transaction)."""

MAX_UNITS = (MAX_COMPUTE_UNITS - 5_000) * 5 // 6
"""Compute units that may be used, so that what ``limits_from`` asks for is allowed. It binds where
a program mints; sixty mints of p-token use 9,947."""

CREATE_UNITS = 25_000
"""More than creating an account takes, unless its address is found late: 14,800 on average."""

_CREATE = 5
_CREATE_ON_SOME_LAMPORTS = 7
_CREATE_ON_ENOUGH_LAMPORTS = 6


@dataclass(frozen=True, slots=True)
class Limit:
    """What may travel together."""

    version: MessageVersion
    max_tokens: int
    """Base units; one reading above it goes alone."""
    max_readings: int
    groups: int


@dataclass(frozen=True, slots=True)
class Weight:
    """What some instructions take of a transaction's room."""

    keys: frozenset[Pubkey]
    instructions: int
    size: int
    """Bytes, compiled."""
    executed: int
    """Inner instructions included."""
    units: int = 0
    """Compute units, where they may bind."""

    @classmethod
    def of(
        cls,
        instructions: Sequence[Instruction],
        version: MessageVersion,
        *,
        executed: int,
        units: int = 0,
    ) -> Weight:
        """Weighs instructions of which ``executed`` will run, inner ones included."""
        return cls(
            _keys(instructions),
            len(instructions),
            sum(_instruction_size(each, version) for each in instructions),
            executed,
            units,
        )

    def __add__(self, other: Weight) -> Weight:
        return Weight(
            self.keys | other.keys,
            self.instructions + other.instructions,
            self.size + other.size,
            self.executed + other.executed,
            self.units + other.units,
        )


@dataclass(frozen=True, slots=True)
class Item:
    """A destination, weighed once."""

    destination: Destination
    minting: Weight
    """Of the mint alone."""
    creating: Weight
    """Of the mint and, where the account is missing, its creation."""

    @classmethod
    def of(
        cls,
        destination: Destination,
        *,
        version: MessageVersion,
        mint: MintFacts,
        program: ReadableMintProgram,
        authority: Pubkey,
        payer: Pubkey,
        account_rent: int,
    ) -> Item:
        """Builds what the destination needs and weighs it."""
        mints = program.mint(destination, mint, authority)
        minting = Weight.of(mints, version, executed=program.executed, units=program.units)
        if not destination.create:
            return cls(destination, minting, minting)
        creation = [build.create_token_account(destination, mint, payer)]
        executed = executed_to_create(destination.held_lamports, account_rent)
        creating = Weight.of(creation, version, executed=executed, units=CREATE_UNITS)
        return cls(destination, minting, minting + creating)


def executed_to_create(held_lamports: int, account_rent: int) -> int:
    """Instructions executed to create an account, by what its address holds already."""
    if held_lamports == 0:
        return _CREATE
    if held_lamports < account_rent:
        return _CREATE_ON_SOME_LAMPORTS
    return _CREATE_ON_ENOUGH_LAMPORTS


@dataclass(slots=True)
class Load:
    """A transaction while it is being filled."""

    weight: Weight
    signatures: int
    tokens: int = 0
    readings: int = 0
    destinations: list[Destination] = field(default_factory=list)
    created: set[Pubkey] = field(default_factory=set)

    @classmethod
    def empty(
        cls, version: MessageVersion, signing: Iterable[Pubkey], *, bids: bool, limits: bool = False
    ) -> Load:
        """The memo alone, and in v0 the compute budget if it may be needed.

        Args:
            version: Format.
            signing: Whoever signs.
            bids: Whether there is a priority fee.
            limits: Whether an instruction may use more units than v0 grants unasked.
        """
        fixed = [build.memo("m" * MEMO_LENGTH)]
        if (bids or limits) and version is MessageVersion.V0:
            fixed.append(build.compute_unit_limit(1))
        if bids and version is MessageVersion.V0:
            fixed.append(build.compute_unit_price(1))
        signers = Weight(frozenset(signing), 0, 0, 0)
        weight = signers + Weight.of(fixed, version, executed=len(fixed))
        return cls(weight, signatures=len(signers.keys))

    def copy(self) -> Load:
        """A load of its own with the same start."""
        return replace(self, destinations=[], created=set())

    def take(self, item: Item, limit: Limit) -> bool:
        """Adds a destination if everything still fits; says whether it did."""
        destination = item.destination
        tokens = self.tokens + destination.group.base_units
        readings = self.readings + len(destination.group.payments)
        # Within one transaction the first create serves all that are paid to the same account.
        creates = destination.create and destination.token_account not in self.created
        added = item.creating if creates else item.minting
        if (
            (self.destinations and (tokens > limit.max_tokens or readings > limit.max_readings))
            or len(self.destinations) >= limit.groups
            or self.weight.executed + added.executed > MAX_EXECUTED
            or self.weight.units + added.units > MAX_UNITS
        ):
            return False
        weight = self.weight + added
        if len(weight.keys) > MAX_ACCOUNTS or self._size(weight, limit) > MAX_SIZE[limit.version]:
            return False
        self.weight, self.tokens, self.readings = weight, tokens, readings
        if creates:
            self.created.add(destination.token_account)
        self.destinations.append(
            destination if creates == destination.create else replace(destination, create=creates)
        )
        return True

    def is_full(self, limit: Limit) -> bool:
        """Whether nothing at all can be added."""
        return (
            len(self.destinations) >= limit.groups
            or self.tokens >= limit.max_tokens
            or self.readings >= limit.max_readings
            or self.weight.executed >= MAX_EXECUTED
            or self.weight.units >= MAX_UNITS
            or len(self.weight.keys) >= MAX_ACCOUNTS
        )

    def _size(self, weight: Weight, limit: Limit) -> int:
        return message_size(
            limit.version, len(weight.keys), weight.instructions, weight.size, self.signatures
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
