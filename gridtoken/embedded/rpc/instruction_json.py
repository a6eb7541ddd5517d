"""Instructions in words, for the programs that minting uses; others as they are.

Names and fields are those of Agave's transaction-status parsers (parse_token.rs, parse_system.rs,
parse_associated_token.rs), whose "jsonParsed" the explorers and web3.js read.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from solders.pubkey import Pubkey

from gridtoken.embedded.chain import base58
from gridtoken.embedded.chain.budget import BUILTINS
from gridtoken.embedded.chain.machine import SYSTEM_PROGRAM
from gridtoken.embedded.chain.record import TOKEN_2022_PROGRAM, TOKEN_PROGRAM
from gridtoken.embedded.chain.transaction import MEMO_PROGRAMS, DecodedTransaction
from gridtoken.embedded.rpc.account_json import token_amount

ASSOCIATED_TOKEN_PROGRAM = Pubkey.from_string("ATokenGPvbdGVxr1b2hvZbsiqW5xWH25efTNsLJA8knL")
AUTHORITY_TYPES = ("mintTokens", "freezeAccount", "accountOwner", "closeAccount")

Parsed = tuple[str, dict[str, Any]]
TokenParser = Callable[[list[str], bytes], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Accounts:
    """The accounts of a transaction and what it may do with each."""

    keys: tuple[str, ...]
    writable: tuple[bool, ...]
    signers: int
    static: int

    @classmethod
    def of(
        cls,
        decoded: DecodedTransaction,
        loaded_writable: tuple[Pubkey, ...],
        loaded_readonly: tuple[Pubkey, ...],
    ) -> Accounts:
        """Gathers static accounts and those that lookup tables added."""
        programs = {one.program_id_index for one in decoded.instructions}
        static = [
            # A program and a builtin are never locked for writing, whatever the header says.
            decoded.is_writable(index) and index not in programs and key not in BUILTINS
            for index, key in enumerate(decoded.keys)
        ]
        flags = [*static, *(True for _ in loaded_writable), *(False for _ in loaded_readonly)]
        keys = (*decoded.keys, *loaded_writable, *loaded_readonly)
        return cls(
            tuple(map(str, keys)), tuple(flags), decoded.required_signatures, len(decoded.keys)
        )

    def listed(self) -> list[dict[str, Any]]:
        """Returns the list that parsed transactions begin with."""
        return [
            {
                "pubkey": key,
                "signer": index < self.signers,
                "source": "transaction" if index < self.static else "lookupTable",
                "writable": self.writable[index],
            }
            for index, key in enumerate(self.keys)
        ]


def parsed_instruction(
    accounts: Accounts, program: int, named: list[int], data: bytes, height: int | None
) -> dict[str, Any]:
    """Returns an instruction in words, or with its accounts spelt out if it is not known."""
    program_id = Pubkey.from_string(accounts.keys[program])
    keys = [accounts.keys[index] for index in named]
    if program_id in MEMO_PROGRAMS:
        text = data.decode(errors="replace")
        return _answer("spl-memo", program_id, text, height)
    name, parser = _PROGRAMS.get(program_id, ("", None))
    try:
        words = parser(keys, data) if parser else None
    except (IndexError, ValueError):
        # A failed transaction may hold any bytes: what cannot be parsed is shown as it is.
        words = None
    if words is None:
        return {
            "programId": str(program_id),
            "accounts": keys,
            "data": base58.encode(data),
            "stackHeight": height,
        }
    kind, info = words
    return _answer(name, program_id, {"type": kind, "info": info}, height)


def _answer(program: str, program_id: Pubkey, parsed: Any, height: int | None) -> dict[str, Any]:
    return {
        "program": program,
        "programId": str(program_id),
        "parsed": parsed,
        "stackHeight": height,
    }


def _number(data: bytes, place: int, size: int) -> int:
    part = data[place : place + size]
    if len(part) < size:
        raise ValueError("instruction data is too short")
    return int.from_bytes(part, "little")


def _key(data: bytes, place: int) -> str:
    return str(Pubkey(data[place : place + 32]))


def _system(keys: list[str], data: bytes) -> Parsed | None:
    kind = _number(data, 0, 4)
    if kind == 0:
        return "createAccount", {
            "source": keys[0],
            "newAccount": keys[1],
            "lamports": _number(data, 4, 8),
            "space": _number(data, 12, 8),
            "owner": _key(data, 20),
        }
    if kind == 1:
        return "assign", {"account": keys[0], "owner": _key(data, 4)}
    if kind == 2:
        return "transfer", {
            "source": keys[0],
            "destination": keys[1],
            "lamports": _number(data, 4, 8),
        }
    if kind == 3:
        return "createAccountWithSeed", _create_with_seed(keys, data)
    if kind == 8:
        return "allocate", {"account": keys[0], "space": _number(data, 4, 8)}
    return None


def _create_with_seed(keys: list[str], data: bytes) -> dict[str, Any]:
    length = _number(data, 36, 8)
    rest = 44 + length
    return {
        "source": keys[0],
        "newAccount": keys[1],
        "base": _key(data, 4),
        "seed": data[44:rest].decode(),
        "lamports": _number(data, rest, 8),
        "space": _number(data, rest + 8, 8),
        "owner": _key(data, rest + 16),
    }


def _associated(keys: list[str], data: bytes) -> Parsed | None:
    kind = data[0] if data else 0
    if kind > 1:
        return None
    names = ("source", "account", "wallet", "mint", "systemProgram", "tokenProgram")
    info = {name: keys[place] for place, name in enumerate(names)}
    return ("createIdempotent" if kind else "create"), info


def _authority(keys: list[str], place: int, name: str) -> dict[str, Any]:
    """Names a lone authority, or a multisig and those who signed for it."""
    if len(keys) <= place + 1:
        return {name: keys[place]}
    multisig = "multisig" + name[0].upper() + name[1:]
    return {multisig: keys[place], "signers": keys[place + 1 :]}


def _amount(data: bytes, *, checked: bool) -> dict[str, Any]:
    amount = _number(data, 1, 8)
    if not checked:
        return {"amount": str(amount)}
    return {"tokenAmount": token_amount(amount, data[9])}


def _initialize_mint(keys: list[str], data: bytes, *, with_rent: bool) -> dict[str, Any]:
    info: dict[str, Any] = {"mint": keys[0], "decimals": data[1], "mintAuthority": _key(data, 2)}
    if with_rent:
        info["rentSysvar"] = keys[1]
    if len(data) >= 67 and data[34]:
        info["freezeAuthority"] = _key(data, 35)
    return info


def _set_authority(keys: list[str], data: bytes) -> dict[str, Any]:
    kind = AUTHORITY_TYPES[data[1]]
    owned = "mint" if data[1] < 2 else "account"
    return {
        owned: keys[0],
        "authorityType": kind,
        "newAuthority": _key(data, 3) if data[2] else None,
        **_authority(keys, 1, "authority"),
    }


def _moved(names: tuple[str, ...], signer: str, *, checked: bool) -> TokenParser:
    """Returns a parser for instructions that name accounts, a signer and an amount."""

    def parse(keys: list[str], data: bytes) -> dict[str, Any]:
        named = {name: keys[place] for place, name in enumerate(names)}
        return named | _authority(keys, len(names), signer) | _amount(data, checked=checked)

    return parse


def _named(names: tuple[str, ...], signer: str | None = None) -> TokenParser:
    """Returns a parser for instructions that name accounts and perhaps a signer."""

    def parse(keys: list[str], _data: bytes) -> dict[str, Any]:
        named: dict[str, Any] = {name: keys[place] for place, name in enumerate(names)}
        return named | (_authority(keys, len(names), signer) if signer else {})

    return parse


_TOKEN: dict[int, tuple[str, TokenParser]] = {
    0: ("initializeMint", lambda keys, data: _initialize_mint(keys, data, with_rent=True)),
    1: ("initializeAccount", _named(("account", "mint", "owner", "rentSysvar"))),
    3: ("transfer", _moved(("source", "destination"), "authority", checked=False)),
    4: ("approve", _moved(("source", "delegate"), "owner", checked=False)),
    5: ("revoke", _named(("source",), "owner")),
    6: ("setAuthority", _set_authority),
    7: ("mintTo", _moved(("mint", "account"), "mintAuthority", checked=False)),
    8: ("burn", _moved(("account", "mint"), "authority", checked=False)),
    9: ("closeAccount", _named(("account", "destination"), "owner")),
    10: ("freezeAccount", _named(("account", "mint"), "freezeAuthority")),
    11: ("thawAccount", _named(("account", "mint"), "freezeAuthority")),
    12: (
        "transferChecked",
        _moved(("source", "mint", "destination"), "authority", checked=True),
    ),
    13: ("approveChecked", _moved(("source", "mint", "delegate"), "owner", checked=True)),
    14: ("mintToChecked", _moved(("mint", "account"), "mintAuthority", checked=True)),
    15: ("burnChecked", _moved(("account", "mint"), "authority", checked=True)),
    18: (
        "initializeAccount3",
        lambda keys, data: {"account": keys[0], "mint": keys[1], "owner": _key(data, 1)},
    ),
    20: ("initializeMint2", lambda keys, data: _initialize_mint(keys, data, with_rent=False)),
    21: (
        "getAccountDataSize",
        lambda keys, data: {"mint": keys[0], **_extension_types(data[1:])},
    ),
    22: ("initializeImmutableOwner", _named(("account",))),
}


def _extension_types(data: bytes) -> dict[str, Any]:
    kinds = [_number(data, place, 2) for place in range(0, len(data), 2)]
    return {"extensionTypes": ["immutableOwner" if kind == 7 else str(kind) for kind in kinds]}


def _token(keys: list[str], data: bytes) -> Parsed | None:
    kind, parser = _TOKEN.get(data[0], ("", None))
    return (kind, parser(keys, data)) if parser else None


_PROGRAMS: dict[Pubkey, tuple[str, Callable[[list[str], bytes], Parsed | None]]] = {
    SYSTEM_PROGRAM: ("system", _system),
    ASSOCIATED_TOKEN_PROGRAM: ("spl-associated-token-account", _associated),
    TOKEN_PROGRAM: ("spl-token", _token),
    TOKEN_2022_PROGRAM: ("spl-token", _token),
}
