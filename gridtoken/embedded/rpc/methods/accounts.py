"""Methods that read accounts."""

from __future__ import annotations

from base64 import b64decode
from typing import Any

from solders.account import Account
from solders.pubkey import Pubkey

from gridtoken.embedded.chain import base58
from gridtoken.embedded.rpc.account_json import AccountShape
from gridtoken.embedded.rpc.error import invalid_params
from gridtoken.embedded.rpc.node import Node, in_context
from gridtoken.embedded.rpc.params import Config, Params, parsed_pubkey
from gridtoken.embedded.rpc.registry import method

MAX_MULTIPLE_ACCOUNTS = 100
MAX_FILTERS = 4
MAX_FILTER_BYTES = 128
"""Agave, rpc-client-api request.rs and filter.rs."""


@method("getBalance")
def get_balance(node: Node, params: Params) -> dict[str, Any]:
    """Says how many lamports an account holds."""
    key = params.pubkey(0)
    bank = node.bank(params.config(1))
    account = bank.account(key)
    return in_context(bank, account.lamports if account else 0)


@method("getAccountInfo")
def get_account_info(node: Node, params: Params) -> dict[str, Any]:
    """Shows an account."""
    key = params.pubkey(0)
    config = params.config(1)
    bank = node.bank(config)
    shape = AccountShape.asked(config)
    account = bank.account(key)
    return in_context(bank, shape.write(account, bank.account) if account else None)


@method("getMultipleAccounts")
def get_multiple_accounts(node: Node, params: Params) -> dict[str, Any]:
    """Shows up to a hundred accounts of one moment."""
    addresses = params.texts(0)
    if len(addresses) > MAX_MULTIPLE_ACCOUNTS:
        raise invalid_params(f"Too many inputs provided; max {MAX_MULTIPLE_ACCOUNTS}")
    keys = [parsed_pubkey(address) for address in addresses]
    config = params.config(1)
    bank = node.bank(config)
    shape = AccountShape.asked(config, "base64")
    found = [bank.account(key) for key in keys]
    return in_context(
        bank, [shape.write(account, bank.account) if account else None for account in found]
    )


@method("getProgramAccounts")
def get_program_accounts(node: Node, params: Params) -> Any:
    """Shows the accounts of a program that pass some filters."""
    program = params.pubkey(0)
    config = params.config(1)
    filters = _filters(config)
    bank = node.bank(config)
    shape = AccountShape.asked(config)
    answer = [
        keyed(key, account, shape, bank.account)
        for key, account in bank.owned_by(program).items()
        if all(passes(account, wanted) for wanted in filters)
    ]
    return in_context(bank, answer) if config.flag("withContext") else answer


def keyed(key: Pubkey, account: Account, shape: AccountShape, read: Any) -> dict[str, Any]:
    """Returns an account together with its address."""
    return {"pubkey": str(key), "account": shape.write(account, read)}


def passes(account: Account, wanted: int | tuple[int, bytes]) -> bool:
    """Tells whether an account has a size, or some bytes at a place."""
    if isinstance(wanted, int):
        return len(account.data) == wanted
    offset, needle = wanted
    return account.data[offset : offset + len(needle)] == needle


def _filters(config: Config) -> list[int | tuple[int, bytes]]:
    asked = config.raw("filters") or []
    if not isinstance(asked, list) or len(asked) > MAX_FILTERS:
        raise invalid_params(f"Too many filters provided; max {MAX_FILTERS}")
    return [_filter(one) for one in asked]


def _filter(asked: Any) -> int | tuple[int, bytes]:
    if isinstance(asked, dict) and "dataSize" in asked:
        return Config(asked).integer("dataSize") or 0
    compare = asked.get("memcmp") if isinstance(asked, dict) else None
    if not isinstance(compare, dict):
        raise invalid_params("Invalid params: unknown filter, expected `dataSize` or `memcmp`.")
    part = Config(compare)
    needle = part.raw("bytes")
    if isinstance(needle, list):
        data = bytes(needle)
    else:
        data = _needle(part.text("bytes") or "", part.text("encoding") or "base58")
    if len(data) > MAX_FILTER_BYTES:
        raise invalid_params("encoded binary data should be less than 129 bytes")
    return part.integer("offset") or 0, data


def _needle(text: str, encoding: str) -> bytes:
    try:
        return base58.decode(text) if encoding == "base58" else b64decode(text)
    except ValueError as error:
        raise invalid_params(f"Invalid params: bytes are not {encoding}.") from error
