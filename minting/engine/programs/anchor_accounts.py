"""Which address each account of an Anchor instruction is: by the IDL, by settings, by its name.

In this order, the first that says something:

1. ``address`` of the IDL;
2. settings: an address, or the name of a role below (``recipient=user_token_account``);
3. for ``mint`` and ``user_token_account``, what we pay with and to: the IDL derives no other;
4. ``pda`` of the IDL, from const and account seeds;
5. the role that the account's name names, as below;
6. an account that is optional is left out, which Anchor writes as the program's own address.

What is left over is refused with its name, and so is a signer whose key is not ours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NoReturn

from solana.constants import SYSTEM_PROGRAM_ID
from solders.pubkey import Pubkey
from solders.sysvar import RENT
from spl.token.constants import ASSOCIATED_TOKEN_PROGRAM_ID

from minting.engine.errors import MintingRefused
from minting.engine.idl import (
    AccountSeed,
    ArgSeed,
    ConstSeed,
    IdlAccount,
    IdlPda,
    Seed,
    plain,
    same_name,
)

MAX_SEEDS, MAX_SEED = 15, 32
"""Of a derived address: sixteen with the bump, of so many bytes each."""


class Role(StrEnum):
    """What an account may be to us."""

    AUTHORITY = "authority"
    PAYER = "payer"
    MINT = "mint"
    USER_TOKEN_ACCOUNT = "user_token_account"  # noqa: S105 — an account's name
    OWNER = "owner"
    TOKEN_PROGRAM = "token_program"  # noqa: S105 — an account's name
    SYSTEM_PROGRAM = "system_program"
    ASSOCIATED_TOKEN_PROGRAM = "associated_token_program"  # noqa: S105 — an account's name
    RENT = "rent"


_ALSO: Mapping[str, Role] = {
    "tokenmint": Role.MINT,
    "destination": Role.USER_TOKEN_ACCOUNT,
}
NAMED: Mapping[str, Role] = {**{plain(role.value): role for role in Role}, **_ALSO}
"""Roles by the names that accounts have, in plain form."""

PAID = frozenset({Role.USER_TOKEN_ACCOUNT, Role.OWNER})
"""Roles that differ from group to group: its token account, and its wallet."""


@dataclass(frozen=True, slots=True)
class Derived:
    """An address that depends on who is paid."""

    seeds: tuple[bytes | Role, ...]
    program: Pubkey


UNKNOWN = Pubkey(b"\x01" * 32)
"""Stands for an address that nobody has said yet."""

Source = Pubkey | Role | Derived
"""An address, one of ``PAID``, or what is derived from one of these."""


@dataclass(frozen=True, slots=True)
class Slot:
    """One account of the instruction, in its place."""

    label: str
    source: Source
    signer: bool
    writable: bool


@dataclass(frozen=True, slots=True)
class Setting:
    """What the settings say of an account by its name: its address, or what it is to us."""

    source: Pubkey | Role


@dataclass(frozen=True, slots=True)
class Known:
    """What the roles are; ``None`` where nobody has said yet: then nothing is compared with it."""

    program: Pubkey
    authority: Pubkey | None = None
    mint: Pubkey | None = None
    token_program: Pubkey | None = None

    def of(self, role: Role) -> Source:
        """The address of a role, or the role where it differs from group to group."""
        if role in PAID:
            return role
        fixed = {
            Role.SYSTEM_PROGRAM: SYSTEM_PROGRAM_ID,
            Role.ASSOCIATED_TOKEN_PROGRAM: ASSOCIATED_TOKEN_PROGRAM_ID,
            Role.RENT: RENT,
            Role.AUTHORITY: self.authority,
            Role.PAYER: self.authority,
            Role.MINT: self.mint,
            Role.TOKEN_PROGRAM: self.token_program,
        }
        return fixed[role] or UNKNOWN

    def is_known(self, role: Role) -> bool:
        """Whether the role's address is known, or will be for each group."""
        return self.of(role) != UNKNOWN


def resolve(
    accounts: Sequence[IdlAccount], known: Known, settings: Mapping[str, Setting]
) -> tuple[Slot, ...]:
    """Finds every account of an instruction.

    Args:
        accounts: As the IDL gives them.
        known: What the roles are.
        settings: ``MINT_PROGRAM_ACCOUNTS`` and ``MINT_PROGRAM_SIGNERS``, by account.

    Raises:
        MintingRefused: With the name of the account that cannot be found, or of the setting that
            names none.
    """
    resolver = _Resolver(accounts, known, settings)
    slots = tuple(resolver.slot(each) for each in accounts)
    resolver.require_all_used()
    return slots


def derive(seeds: Sequence[bytes], program: Pubkey, label: str) -> Pubkey:
    """The program's address of these seeds.

    Raises:
        MintingRefused: They are too many or too long.
    """
    if len(seeds) > MAX_SEEDS or any(len(seed) > MAX_SEED for seed in seeds):
        raise MintingRefused(f"Account {label}: its seeds are too many or too long")
    return Pubkey.find_program_address(list(seeds), program)[0]


@dataclass(slots=True)
class _Resolver:
    accounts: Sequence[IdlAccount]
    known: Known
    settings: Mapping[str, Setting]
    used: set[str] = field(default_factory=set)
    found: dict[str, Source] = field(default_factory=dict)
    under_way: list[str] = field(default_factory=list)

    def slot(self, account: IdlAccount) -> Slot:
        source = self.source(account)
        if account.optional and source == self.known.program:
            return Slot(account.label, source, signer=False, writable=False)
        if account.signer:
            self._require_key(account, source)
        return Slot(account.label, source, account.signer, account.writable)

    def source(self, account: IdlAccount) -> Source:
        """Where an account is, found once; seeds may ask for it before its turn."""
        if account.label in self.found:
            return self.found[account.label]
        if account.label in self.under_way:
            _refuse(account, "its seeds lead back to itself")
        self.under_way.append(account.label)
        found = self.found[account.label] = self._find(account)
        self.under_way.pop()
        return found

    def require_all_used(self) -> None:
        """A setting for an account that there is not is a mistake, perhaps a costly one."""
        for name in self.settings:
            if name not in self.used:
                raise MintingRefused(f"The instruction has no account {name}, which settings name")

    def _find(self, account: IdlAccount) -> Source:
        setting = self._setting(account)
        role = NAMED.get(plain(account.name))
        if account.address is not None:
            return self._fixed(account, account.address, setting, role)
        return self._by_name(account, role) if setting is None else self._said(setting)

    def _said(self, setting: Setting) -> Source:
        said = setting.source
        return self.known.of(said) if isinstance(said, Role) else said

    def _by_name(self, account: IdlAccount, role: Role | None) -> Source:
        if role in (Role.MINT, Role.USER_TOKEN_ACCOUNT):
            self._require_derived_alike(account, role)
            return self.known.of(role)
        if account.pda is not None:
            return self._derived(account, account.pda)
        if role is not None:
            return self.known.of(role)
        if account.optional:
            return self.known.program
        return _refuse(account, "nothing says which address it is; MINT_PROGRAM_ACCOUNTS can")

    def _fixed(
        self, account: IdlAccount, address: Pubkey, setting: Setting | None, role: Role | None
    ) -> Pubkey:
        given = None if setting is None else self._said(setting)
        if given is not None and given != address:
            _refuse(account, f"the IDL fixes it at {address}, settings say {given}")
        if role in (Role.MINT, Role.TOKEN_PROGRAM) and self.known.is_known(role):
            due = self.known.of(role)
            if due != address:
                _refuse(account, f"the IDL fixes it at {address}, and it is {due} here")
        return address

    def _setting(self, account: IdlAccount) -> Setting | None:
        """What settings say of an account, by its whole name or by its own where that is one."""
        namesakes = [each for each in self.accounts if same_name(each.name, account.name)]
        for name, setting in self.settings.items():
            own = len(namesakes) == 1 and same_name(name, account.name)
            if own or same_name(name, account.label):
                self.used.add(name)
                return setting
        return None

    def _require_key(self, account: IdlAccount, source: Source) -> None:
        """Ours, or one that settings name: its key is there, or this process only estimates."""
        setting = self._setting(account)
        named = NAMED.get(plain(account.name)) if setting is None else setting.source
        ours = named in (Role.AUTHORITY, Role.PAYER) and source == self.known.of(Role.AUTHORITY)
        if not ours and (setting is None or not isinstance(named, Pubkey)):
            _refuse(account, "it has to sign, and MINT_PROGRAM_SIGNERS names no key for it")

    def _require_derived_alike(self, account: IdlAccount, role: Role) -> None:
        if account.pda is None or not self.known.is_known(role) or role in PAID:
            return
        derived = self._derived(account, account.pda)
        if derived != self.known.of(role):
            _refuse(account, f"the IDL derives another address than {self.known.of(role)}")

    def _derived(self, account: IdlAccount, pda: IdlPda) -> Source:
        program = self.known.program
        if pda.program is not None:
            found = self._seed(account, pda.program)
            if isinstance(found, Role) or len(found) != MAX_SEED:
                _refuse(account, "the program that it is derived of cannot be found")
            program = Pubkey(found)
        seeds = tuple(self._seed(account, seed) for seed in pda.seeds)
        fixed = [seed for seed in seeds if isinstance(seed, bytes)]
        address = derive(fixed, program, account.label)
        return address if len(fixed) == len(seeds) else Derived(seeds, program)

    def _seed(self, account: IdlAccount, seed: Seed) -> bytes | Role:
        if isinstance(seed, ConstSeed):
            return seed.value
        if isinstance(seed, ArgSeed):
            _refuse(account, f"its seed is the argument {seed.path}, which differs every time")
        source = self.source(self._named(account, seed))
        if isinstance(source, Derived):
            _refuse(account, f"its seed {seed.path} is itself derived from who is paid")
        return source if isinstance(source, Role) else bytes(source)

    def _named(self, account: IdlAccount, seed: AccountSeed) -> IdlAccount:
        """The account of a seed's path: in the same group, else in those around it."""
        for depth in range(len(account.group), -1, -1):
            label = ".".join((*account.group[:depth], seed.path))
            for each in self.accounts:
                if same_name(each.label, label):
                    return each
        field_of = " of an account's data" if "." in seed.path else ""
        return _refuse(account, f"its seed {seed.path}{field_of} is no account here")


def _refuse(account: IdlAccount, why: str) -> NoReturn:
    raise MintingRefused(f"Account {account.label}: {why}")
