"""Minting by an instruction of an Anchor program, as its IDL describes it.

The instruction's data is the discriminator and the amount (u64, little endian); its accounts stand
in the IDL's order. The program calls the token program itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from typing import NoReturn

from solders.instruction import AccountMeta, Instruction
from solders.pubkey import Pubkey

from minting.engine.errors import MintingRefused
from minting.engine.idl import Idl, IdlInstruction, snake_case
from minting.engine.programs.anchor_accounts import (
    UNKNOWN,
    Derived,
    Known,
    Role,
    Setting,
    Slot,
    derive,
    resolve,
)
from minting.engine.programs.anchor_errors import FRAMEWORK_ERRORS
from minting.engine.programs.base import Minted
from minting.engine.types import Destination, MintFacts

UNMEASURED = 2
"""Instructions executed per group until a simulation has told: the program's, and the mint."""

_AMOUNT = 8


@dataclass(frozen=True, slots=True)
class AnchorSettings:
    """A program as settings and IDL describe it; which mint it serves comes later."""

    idl: Idl
    program: Pubkey
    instruction: str
    accounts: Mapping[str, Setting]

    def __post_init__(self) -> None:
        """Finds the instruction.

        Raises:
            MintingRefused: It is not there, or takes something else than an amount.
        """
        if self.idl.address not in (None, self.program):
            raise MintingRefused(
                f"MINT_PROGRAM_ID is {self.program}, the IDL is that of {self.idl.address}"
            )
        found = self.idl.instruction(self.instruction)
        if found.args != (("amount", "u64"),):
            takes = ", ".join(f"{name}: {type_}" for name, type_ in found.args) or "nothing"
            raise MintingRefused(
                f"Instruction {found.name} takes {takes}; minting wants amount: u64 alone"
            )

    @property
    def key(self) -> tuple[object, ...]:
        """What tells these settings from others of the process."""
        return self.program, self.instruction, frozenset(self.accounts.items())

    def explain(self, code: int) -> str | None:
        """What an error is called: by the IDL's list, else by Anchor's own."""
        framework = FRAMEWORK_ERRORS.get(code)
        return self.idl.errors.get(code) or (f"{framework} ({code})" if framework else None)

    def check(self) -> None:
        """What can be checked before mint and authority are known: every account has a source.

        Raises:
            MintingRefused: With the name of the account that has none.
        """
        self._program(Known(self.program))

    def for_mint(self, mint: MintFacts, authority: Pubkey) -> AnchorProgram:
        """The program, minting this mint.

        Raises:
            MintingRefused: With the name of the account that cannot be found.
        """
        return self._program(Known(self.program, authority, mint.address, mint.token_program))

    def _program(self, known: Known) -> AnchorProgram:
        found = self.idl.instruction(self.instruction)
        return AnchorProgram(
            program=self.program,
            discriminator=discriminator_of(found, self.instruction),
            slots=resolve(found.accounts, known, self.accounts),
            mint_address=known.mint or UNKNOWN,
            authority=known.authority or UNKNOWN,
            settings=self,
        )


def discriminator_of(instruction: IdlInstruction, wanted: str) -> bytes:
    """As the IDL gives it; else ``sha256("global:" + name)[:8]``.

    The name is that of the program's function. Where settings write it in snake case it is taken
    from there: camel case has lost where an underscore stood before a digit.
    """
    if instruction.discriminator is not None:
        return instruction.discriminator
    name = wanted if wanted == wanted.lower() else snake_case(instruction.name)
    return sha256(f"global:{name}".encode()).digest()[:8]


@dataclass(frozen=True, slots=True)
class AnchorProgram:
    """One call of the program per group."""

    program: Pubkey
    discriminator: bytes
    slots: tuple[Slot, ...]
    mint_address: Pubkey
    authority: Pubkey
    settings: AnchorSettings
    executed: int = UNMEASURED
    units: int = 0

    def __post_init__(self) -> None:
        """Refuses an instruction that could not mint, or not for whom it should."""
        if self.mint_address not in self._fixed():
            raise MintingRefused(
                f"The instruction names no account mint: {self.program} cannot know what to mint"
            )
        if sum(slot.source is Role.USER_TOKEN_ACCOUNT for slot in self.slots) != 1:
            raise MintingRefused(
                "The instruction must name one account user_token_account (or destination); "
                "MINT_PROGRAM_ACCOUNTS can say which (NAME=user_token_account)"
            )

    def mint(
        self, destination: Destination, mint: MintFacts, authority: Pubkey
    ) -> Sequence[Instruction]:
        """The one instruction that mints the group's sum to its token account."""
        self._require_same(mint, authority)
        paid = {
            Role.USER_TOKEN_ACCOUNT: destination.token_account,
            Role.OWNER: destination.group.wallet,
        }
        amount = destination.group.base_units.to_bytes(_AMOUNT, "little")
        metas = [
            AccountMeta(_address(slot, paid), slot.signer, slot.writable) for slot in self.slots
        ]
        return (Instruction(self.program, self.discriminator + amount, metas),)

    def address(self, mint: MintFacts) -> Pubkey:
        """The Anchor program."""
        del mint
        return self.program

    def signers(self, authority: Pubkey) -> tuple[Pubkey, ...]:
        """Whoever the IDL has sign; may be nobody but the fee payer."""
        del authority
        signing = (slot.source for slot in self.slots if slot.signer)
        return tuple(dict.fromkeys(each for each in signing if isinstance(each, Pubkey)))

    def minters(self) -> frozenset[Pubkey]:
        """A call of the token program needs the mint's authority among the caller's accounts."""
        return self._fixed()

    def explain(self, code: int) -> str | None:
        """By the IDL's list, else by Anchor's own."""
        return self.settings.explain(code)

    def read(self, instruction: Instruction) -> Minted:
        """Decodes a call of ours, account by account.

        Raises:
            ValueError: Another discriminator, length, account or flag.
        """
        data, accounts = bytes(instruction.data), instruction.accounts
        start = len(self.discriminator)
        if len(data) != start + _AMOUNT or data[:start] != self.discriminator:
            raise ValueError("not the program's mint instruction")
        if len(accounts) != len(self.slots):
            raise ValueError(f"{len(accounts)} accounts instead of {len(self.slots)}")
        token_account = None
        for slot, meta in zip(self.slots, accounts, strict=True):
            if isinstance(slot.source, Pubkey) and meta.pubkey != slot.source:
                raise ValueError(f"account {slot.label} is {meta.pubkey}, not {slot.source}")
            # In a transaction an account has the rights of all its uses.
            if meta.is_signer < slot.signer or meta.is_writable < slot.writable:
                raise ValueError(f"account {slot.label} lacks a right")
            if slot.source is Role.USER_TOKEN_ACCOUNT:
                token_account = meta.pubkey
        if token_account is None:
            raise ValueError("nobody is paid")
        return Minted(
            mint=self.mint_address,
            token_account=token_account,
            authority=self.authority,
            base_units=int.from_bytes(data[start:], "little"),
            decimals=None,
        )

    def _fixed(self) -> frozenset[Pubkey]:
        return frozenset(slot.source for slot in self.slots if isinstance(slot.source, Pubkey))

    def _require_same(self, mint: MintFacts, authority: Pubkey) -> None:
        if (mint.address, authority) != (self.mint_address, self.authority):
            _wrong(f"{self.program} is set up for {self.mint_address} and {self.authority}")


def _address(slot: Slot, paid: Mapping[Role, Pubkey]) -> Pubkey:
    source = slot.source
    if isinstance(source, Pubkey):
        return source
    if isinstance(source, Role):
        return paid[source]
    seeds = tuple(bytes(paid[seed]) if isinstance(seed, Role) else seed for seed in source.seeds)
    return _derive(seeds, source, slot.label)


@lru_cache(maxsize=16_384)
def _derive(seeds: tuple[bytes, ...], source: Derived, label: str) -> Pubkey:
    """Kept: packing, signing and verifying all ask for it."""
    return derive(seeds, source.program, label)


def _wrong(why: str) -> NoReturn:
    raise ValueError(why)
