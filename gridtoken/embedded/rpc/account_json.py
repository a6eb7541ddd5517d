"""Accounts in the shapes that getAccountInfo and its relatives answer."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from solders.account import Account
from solders.pubkey import Pubkey

from gridtoken.embedded.chain import base58
from gridtoken.embedded.chain.record import (
    TOKEN_2022_PROGRAM,
    TOKEN_ACCOUNT_BYTES,
    TOKEN_PROGRAMS,
    is_token_account,
    mint_decimals,
)
from gridtoken.embedded.rpc.error import invalid_params, invalid_request
from gridtoken.embedded.rpc.params import Config

MAX_BASE58_BYTES = 128
"""Agave refuses to write more than this in base58."""
ENCODINGS = ("binary", "base58", "base64", "base64+zstd", "jsonParsed")
STATES = ("uninitialized", "initialized", "frozen")
EXTENSIONS = {
    1: "transferFeeConfig",
    2: "transferFeeAmount",
    3: "mintCloseAuthority",
    4: "confidentialTransferMint",
    5: "confidentialTransferAccount",
    6: "defaultAccountState",
    7: "immutableOwner",
    8: "memoTransfer",
    9: "nonTransferable",
    10: "interestBearingConfig",
    11: "cpiGuard",
    12: "permanentDelegate",
    13: "nonTransferableAccount",
    14: "transferHook",
    15: "transferHookAccount",
    18: "metadataPointer",
    19: "tokenMetadata",
    20: "groupPointer",
    22: "groupMemberPointer",
    26: "pausableConfig",
    27: "pausableAccount",
}
"""Names of Token-2022's extension types (spl-token-2022, ExtensionType)."""

Reader = Callable[[Pubkey], Account | None]


@dataclass(frozen=True, slots=True)
class AccountShape:
    """How the caller wants accounts written."""

    encoding: str
    offset: int = 0
    length: int | None = None

    @classmethod
    def asked(cls, config: Config, default: str = "binary") -> AccountShape:
        """Reads encoding and dataSlice out of a request's options."""
        encoding = config.choice("encoding", ENCODINGS, default)
        if encoding == "base64+zstd":
            raise invalid_params("base64+zstd encoding is not supported by this node")
        cut = config.raw("dataSlice")
        if cut is None:
            return cls(encoding)
        if not isinstance(cut, dict):
            raise invalid_params("Invalid params: invalid type for dataSlice, expected a map.")
        part = Config(cut)
        return cls(encoding, part.integer("offset") or 0, part.integer("length") or 0)

    def write(self, account: Account, read: Reader) -> dict[str, Any]:
        """Returns an account as JSON; `read` gives the mint of a token account."""
        return {
            "lamports": account.lamports,
            "data": self._data(account, read),
            "owner": str(account.owner),
            "executable": account.executable,
            "rentEpoch": account.rent_epoch,
            "space": len(account.data),
        }

    def _data(self, account: Account, read: Reader) -> Any:
        if self.encoding == "jsonParsed" and (parsed := parsed_account(account, read)):
            return parsed
        data = account.data[self.offset :]
        if self.length is not None:
            data = data[: self.length]
        if self.encoding in ("binary", "base58"):
            if len(data) > MAX_BASE58_BYTES:
                raise invalid_request(
                    "Encoded binary (base 58) data should be less than 128 bytes, please use"
                    " Base64 encoding."
                )
            text = base58.encode(data)
            return text if self.encoding == "binary" else [text, "base58"]
        return [b64encode(data).decode(), "base64"]


def token_amount(amount: int, decimals: int) -> dict[str, Any]:
    """Returns an amount of base units as nodes show it.

    >>> token_amount(1_500_000_000, 9)["uiAmountString"]
    '1.5'
    """
    digits = str(amount).rjust(decimals + 1, "0")
    whole, places = digits[: len(digits) - decimals], digits[len(digits) - decimals :]
    shown = f"{whole}.{places}".rstrip("0").rstrip(".") if decimals else digits
    return {
        "amount": str(amount),
        "decimals": decimals,
        "uiAmount": amount / 10**decimals,
        "uiAmountString": shown,
    }


def parsed_account(account: Account, read: Reader) -> dict[str, Any] | None:
    """Returns a token account or a mint in words, or None if it is neither."""
    if account.owner not in TOKEN_PROGRAMS:
        return None
    data = account.data
    if is_token_account(account):
        decimals = mint_decimals(read(Pubkey(data[:32])))
        if decimals is None:
            return None
        kind, info = "account", _token_account(data, decimals)
    elif mint_decimals(account) is not None:
        kind, info = "mint", _mint(data)
    else:
        return None
    if len(data) > TOKEN_ACCOUNT_BYTES:
        info["extensions"] = _extensions(data[TOKEN_ACCOUNT_BYTES + 1 :])
    program = "spl-token-2022" if account.owner == TOKEN_2022_PROGRAM else "spl-token"
    return {"program": program, "parsed": {"type": kind, "info": info}, "space": len(data)}


def _token_account(data: bytes, decimals: int) -> dict[str, Any]:
    info: dict[str, Any] = {
        "isNative": _option(data, 109, 8) is not None,
        "mint": str(Pubkey(data[:32])),
        "owner": str(Pubkey(data[32:64])),
        "state": STATES[data[108]],
        "tokenAmount": token_amount(_number(data[64:72]), decimals),
    }
    if (delegate := _option(data, 72, 32)) is not None:
        info["delegate"] = str(Pubkey(delegate))
        info["delegatedAmount"] = token_amount(_number(data[121:129]), decimals)
    if (reserve := _option(data, 109, 8)) is not None:
        info["rentExemptReserve"] = token_amount(_number(reserve), decimals)
    if (closer := _option(data, 129, 32)) is not None:
        info["closeAuthority"] = str(Pubkey(closer))
    return info


def _mint(data: bytes) -> dict[str, Any]:
    authority, freezer = _option(data, 0, 32), _option(data, 46, 32)
    return {
        "decimals": data[44],
        "freezeAuthority": None if freezer is None else str(Pubkey(freezer)),
        "isInitialized": True,
        "mintAuthority": None if authority is None else str(Pubkey(authority)),
        "supply": str(_number(data[36:44])),
    }


def _extensions(data: bytes) -> list[dict[str, Any]]:
    found = []
    while len(data) >= 4 and (kind := _number(data[:2])):
        found.append({"extension": EXTENSIONS.get(kind, "unparseableExtension")})
        data = data[4 + _number(data[2:4]) :]
    return found


def _option(data: bytes, place: int, size: int) -> bytes | None:
    """Reads a C-style option: four bytes of flag, then the value."""
    return data[place + 4 : place + 4 + size] if data[place] else None


def _number(data: bytes) -> int:
    return int.from_bytes(data, "little")
