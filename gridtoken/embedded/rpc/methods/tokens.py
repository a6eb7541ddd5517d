"""Methods that read token accounts and mints."""

from __future__ import annotations

from typing import Any

from solders.account import Account
from solders.pubkey import Pubkey

from gridtoken.embedded.chain.bank import Bank
from gridtoken.embedded.chain.record import TOKEN_PROGRAMS, is_token_account, mint_decimals
from gridtoken.embedded.rpc.account_json import AccountShape, token_amount
from gridtoken.embedded.rpc.error import RpcError, invalid_params
from gridtoken.embedded.rpc.methods.accounts import keyed
from gridtoken.embedded.rpc.node import Node, in_context
from gridtoken.embedded.rpc.params import Config, Params
from gridtoken.embedded.rpc.registry import method

LARGEST_ACCOUNTS = 20


@method("getTokenSupply")
def get_token_supply(node: Node, params: Params) -> dict[str, Any]:
    """Says how much there is of a token."""
    key = params.pubkey(0)
    bank = node.bank(params.config(1))
    data, decimals = _mint(bank, key)
    return in_context(bank, token_amount(int.from_bytes(data[36:44], "little"), decimals))


@method("getTokenAccountBalance")
def get_token_account_balance(node: Node, params: Params) -> dict[str, Any]:
    """Says how much a token account holds."""
    key = params.pubkey(0)
    bank = node.bank(params.config(1))
    account = bank.account(key)
    if account is None:
        raise invalid_params("Invalid param: could not find account")
    if not is_token_account(account):
        raise invalid_params("Invalid param: not a Token account")
    _, decimals = _mint(bank, Pubkey(account.data[:32]))
    return in_context(bank, token_amount(_held(account), decimals))


@method("getTokenLargestAccounts")
def get_token_largest_accounts(node: Node, params: Params) -> dict[str, Any]:
    """Shows who holds most of a token."""
    key = params.pubkey(0)
    bank = node.bank(params.config(1))
    _, decimals = _mint(bank, key)
    mint = bank.account(key)
    if mint is None:
        raise invalid_params("Invalid param: could not find mint")
    found = _token_accounts(bank, mint.owner, 0, key)
    found.sort(key=lambda pair: (_held(pair[1]), bytes(pair[0])), reverse=True)
    return in_context(
        bank,
        [
            {"address": str(address), **token_amount(_held(account), decimals)}
            for address, account in found[:LARGEST_ACCOUNTS]
        ],
    )


@method("getTokenAccountsByOwner")
def get_token_accounts_by_owner(node: Node, params: Params) -> dict[str, Any]:
    """Shows the token accounts of a wallet."""
    return _accounts_of(node, params, 32)


@method("getTokenAccountsByDelegate")
def get_token_accounts_by_delegate(node: Node, params: Params) -> dict[str, Any]:
    """Shows the token accounts that a delegate may spend from."""
    return _accounts_of(node, params, 76)


def _accounts_of(node: Node, params: Params, place: int) -> dict[str, Any]:
    """Shows the token accounts that have an address at a place of their data."""
    key = params.pubkey(0)
    wanted = params.required(1)
    config = params.config(2)
    bank = node.bank(config)
    shape = AccountShape.asked(config)
    program, mint = _token_filter(bank, wanted)
    return in_context(
        bank,
        [
            keyed(address, account, shape, bank.account)
            for address, account in _token_accounts(bank, program, place, key)
            if (mint is None or account.data[:32] == bytes(mint))
            and (place != 76 or account.data[72])
        ],
    )


def _token_filter(bank: Bank, wanted: Any) -> tuple[Pubkey, Pubkey | None]:
    asked = Params([wanted]).config(0)
    if asked.text("mint") is not None:
        mint = _address(asked, "mint")
        account = bank.account(mint)
        if account is None or mint_decimals(account) is None:
            raise invalid_params("Invalid param: could not find mint")
        return account.owner, mint
    program = _address(asked, "programId")
    if program not in TOKEN_PROGRAMS:
        raise invalid_params("Invalid param: unrecognized Token program id")
    return program, None


def _address(asked: Config, name: str) -> Pubkey:
    return Params([asked.text(name)]).pubkey(0)


def _token_accounts(
    bank: Bank, program: Pubkey, place: int, key: Pubkey
) -> list[tuple[Pubkey, Account]]:
    needle = bytes(key)
    return [
        (address, account)
        for address, account in bank.owned_by(program).items()
        if is_token_account(account) and account.data[place : place + 32] == needle
    ]


def _mint(bank: Bank, key: Pubkey) -> tuple[bytes, int]:
    account = bank.account(key)
    if account is None:
        raise invalid_params("Invalid param: could not find account")
    decimals = mint_decimals(account)
    if decimals is None:
        raise _not_a_mint()
    return account.data, decimals


def _not_a_mint() -> RpcError:
    return invalid_params("Invalid param: not a Token mint")


def _held(account: Account) -> int:
    return int.from_bytes(account.data[64:72], "little")
