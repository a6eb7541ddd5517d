"""Reading an Anchor IDL: what a program's instructions take, and what its errors are called.

Two forms are in use. Spec 0.1.0 (Anchor 0.30 and later) has snake_case names, explicit
discriminators, ``writable`` and ``signer``, ``address`` and ``pda``. The older one has camelCase
names, no discriminators, ``isMut`` and ``isSigner``. Both may nest accounts in groups.

Whatever else a file holds (types, events, documentation) is passed over; what minting needs and
cannot be read is a ``MintingRefused`` of one line.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from solders.pubkey import Pubkey

from minting.engine.errors import MintingRefused

MAX_ACCOUNTS = 64
"""Addresses of a transaction: an instruction with more could not be sent."""

_MAX_DEPTH = 8
_MAX_NAME = 100
_INTEGERS = {f"{sign}{bits}": bits // 8 for sign in "ui" for bits in (8, 16, 32, 64, 128)}


@dataclass(frozen=True, slots=True)
class ConstSeed:
    """Bytes that the program itself fixes."""

    value: bytes


@dataclass(frozen=True, slots=True)
class AccountSeed:
    """The address of another account of the instruction; with a dot, a field of its data."""

    path: str


@dataclass(frozen=True, slots=True)
class ArgSeed:
    """An argument of the instruction."""

    path: str


Seed = ConstSeed | AccountSeed | ArgSeed


@dataclass(frozen=True, slots=True)
class IdlPda:
    """How an address is derived; of the program itself unless ``program`` names another."""

    seeds: tuple[Seed, ...]
    program: Seed | None = None


@dataclass(frozen=True, slots=True)
class IdlAccount:
    """One account of an instruction, groups taken apart."""

    name: str
    group: tuple[str, ...]
    signer: bool
    writable: bool
    optional: bool = False
    address: Pubkey | None = None
    pda: IdlPda | None = None

    @property
    def label(self) -> str:
        """The name with its groups, as people write it."""
        return ".".join((*self.group, self.name))


@dataclass(frozen=True, slots=True)
class IdlInstruction:
    """An instruction: its accounts in their order, and (name, type) of its arguments."""

    name: str
    discriminator: bytes | None
    """``None`` in the older form, where it follows from the name."""
    accounts: tuple[IdlAccount, ...]
    args: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Idl:
    """What minting needs to know of a program."""

    address: Pubkey | None
    instructions: tuple[IdlInstruction, ...]
    errors: Mapping[int, str]
    """Name and, where there is one, message, by code."""

    def instruction(self, name: str) -> IdlInstruction:
        """The instruction of that name, in snake or camel case.

        Raises:
            MintingRefused: There is none.
        """
        for each in self.instructions:
            if same_name(each.name, name):
                return each
        known = ", ".join(each.name for each in self.instructions) or "none"
        raise MintingRefused(f"The IDL has no instruction {name}; it has: {known}")


def same_name(left: str, right: str) -> bool:
    """Whether two names are one, in snake or camel case."""
    return plain(left) == plain(right)


def plain(name: str) -> str:
    """A name without what tells snake from camel case."""
    return name.replace("_", "").lower()


def snake_case(name: str) -> str:
    """``mintTokensDirect`` → ``mint_tokens_direct``."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def read_idl(data: bytes) -> Idl:
    """Reads an IDL of either form.

    Raises:
        MintingRefused: It is none, or a part that minting may need cannot be read.
    """
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise MintingRefused("The IDL is not JSON") from error
    top = _mapping(document, "The IDL")
    metadata = top.get("metadata")
    # Tools of the older form kept the address in the metadata.
    old_address = metadata.get("address") if isinstance(metadata, dict) else None
    address = top.get("address") or old_address
    return Idl(
        address=None if address is None else _address(address, "The IDL's address"),
        instructions=tuple(
            _instruction(each) for each in _sequence(top.get("instructions"), "instructions")
        ),
        errors=_errors(top.get("errors")),
    )


def _instruction(value: object) -> IdlInstruction:
    entry = _mapping(value, "An instruction")
    name = _name(entry.get("name"), "An instruction")
    what = f"Instruction {name}"
    given = entry.get("discriminator")
    accounts = tuple(_accounts(entry.get("accounts"), (), what))
    if len(accounts) > MAX_ACCOUNTS:
        _refuse(f"{what} names {len(accounts)} accounts; a transaction has {MAX_ACCOUNTS}")
    labels = [plain(each.label) for each in accounts]
    if doubled := next((each for each in labels if labels.count(each) > 1), None):
        _refuse(f"{what} names the account {doubled} twice")
    args = [_mapping(each, f"{what}: an argument") for each in _sequence(entry.get("args"), what)]
    return IdlInstruction(
        name=name,
        discriminator=None if given is None else _discriminator(given, what),
        accounts=accounts,
        args=tuple((_name(each.get("name"), what), _type(each.get("type"))) for each in args),
    )


def _discriminator(value: object, what: str) -> bytes:
    found = _bytes(value, f"{what}: its discriminator")
    if not found:
        _refuse(f"{what}: its discriminator is empty")
    return found


def _accounts(value: object, group: tuple[str, ...], what: str) -> Iterator[IdlAccount]:
    if len(group) > _MAX_DEPTH:
        _refuse(f"{what}: its accounts are nested too deep")
    for each in _sequence(value, f"{what}: its accounts"):
        entry = _mapping(each, f"{what}: an account")
        name = _name(entry.get("name"), f"{what}: an account")
        if "accounts" in entry:
            yield from _accounts(entry["accounts"], (*group, name), what)
            continue
        label = f"Account {'.'.join((*group, name))}"
        address = entry.get("address")
        pda = entry.get("pda")
        yield IdlAccount(
            name=name,
            group=group,
            signer=_flag(entry, "signer", "isSigner", label),
            writable=_flag(entry, "writable", "isMut", label),
            optional=_flag(entry, "optional", "isOptional", label),
            address=None if address is None else _address(address, f"{label}: its address"),
            pda=None if pda is None else _pda(pda, label),
        )


def _flag(entry: Mapping[str, Any], name: str, old_name: str, label: str) -> bool:
    value = entry.get(name, entry.get(old_name, False))
    if not isinstance(value, bool):
        _refuse(f"{label}: {name} is neither true nor false")
    return value


def _pda(value: object, label: str) -> IdlPda:
    entry = _mapping(value, f"{label}: its pda")
    program = entry.get("program", entry.get("programId"))
    return IdlPda(
        seeds=tuple(
            _seed(each, label) for each in _sequence(entry.get("seeds"), f"{label}: its seeds")
        ),
        program=None if program is None else _seed(program, label),
    )


def _seed(value: object, label: str) -> Seed:
    entry = _mapping(value, f"{label}: a seed")
    kind = entry.get("kind")
    if kind == "const":
        return ConstSeed(_const(entry, label))
    kinds: Mapping[object, Callable[[str], Seed]] = {"account": AccountSeed, "arg": ArgSeed}
    if not isinstance(kind, str) or kind not in kinds:
        _refuse(f"{label}: a seed that is no const, account or arg")
    return kinds[kind](_name(entry.get("path"), f"{label}: a seed's path"))


def _const(entry: Mapping[str, Any], label: str) -> bytes:
    """Spec 0.1.0 writes bytes; the older form writes a value of a type."""
    value, type_ = entry.get("value"), entry.get("type")
    what = f"{label}: a const seed"
    if isinstance(value, list):
        return _bytes(value, what)
    if isinstance(value, str) and type_ in ("publicKey", "pubkey"):
        return bytes(_address(value, what))
    if isinstance(value, str):
        try:
            return value.encode()
        except UnicodeEncodeError:
            _refuse(f"{what} is not text")
    if isinstance(type_, str) and type_ in _INTEGERS and type(value) is int:
        try:
            return value.to_bytes(_INTEGERS[type_], "little", signed=type_.startswith("i"))
        except OverflowError:
            _refuse(f"{what} does not fit its type {type_}")
    return _refuse(f"{what} that cannot be read")


def _errors(value: object) -> dict[int, str]:
    found: dict[int, str] = {}
    for each in _sequence(value if value is not None else [], "errors"):
        entry = _mapping(each, "An error")
        code, name = entry.get("code"), _name(entry.get("name"), "An error")
        if type(code) is not int or not 0 <= code < 2**32:
            _refuse(f"Error {name} has no code")
        message = entry.get("msg")
        told = " ".join(message.split())[:200] if isinstance(message, str) else ""
        # The older form writes AmountIsZero, spec 0.1.0 as the program does; both are shown alike.
        shown = name[0].upper() + name[1:]
        found[code] = f"{shown} ({code})" + (f": {told}" if told else "")
    return found


# ------------------------------------------------------------------ strict reading


def _mapping(value: object, what: str) -> Mapping[str, Any]:
    if isinstance(value, dict):
        return value
    return _refuse(f"{what} is not an object")


def _sequence(value: object, what: str) -> Sequence[Any]:
    if isinstance(value, list):
        return value
    return _refuse(f"{what}: a list is missing")


def _name(value: object, what: str) -> str:
    good = isinstance(value, str) and value.isascii() and value.isprintable()
    if isinstance(value, str) and good and 0 < len(value) <= _MAX_NAME:
        return value
    return _refuse(f"{what} has no name that can be read")


def _type(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)[:_MAX_NAME]


def _bytes(value: object, what: str) -> bytes:
    if isinstance(value, list) and all(type(each) is int and 0 <= each < 256 for each in value):
        return bytes(value)
    return _refuse(f"{what} is not a list of bytes")


def _address(value: object, what: str) -> Pubkey:
    try:
        return Pubkey.from_string(value if isinstance(value, str) else "")
    except ValueError:
        return _refuse(f"{what} is no address")


def _refuse(why: str) -> NoReturn:
    raise MintingRefused(why)
