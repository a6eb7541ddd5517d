"""What a landed transaction leaves behind, small enough to keep for ever.

The shapes that clients ask for (transaction_json.py) are built from it when they ask.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Iterator
from typing import Any

from solders.account import Account
from solders.pubkey import Pubkey

from gridtoken.embedded.chain.machine import Outcome

TOKEN_PROGRAM = Pubkey.from_string("TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA")
TOKEN_2022_PROGRAM = Pubkey.from_string("TokenzQdBNbLqP5VEhdkAS6EPFLC1PHnBqCXEpPxuEb")
TOKEN_PROGRAMS = frozenset({TOKEN_PROGRAM, TOKEN_2022_PROGRAM})
MINT_BYTES = 82
TOKEN_ACCOUNT_BYTES = 165
ACCOUNT_TYPE_ACCOUNT = 2
"""Token-2022 marks longer accounts with their type behind the first 165 bytes."""

Reader = Callable[[Pubkey], Account | None]


def is_token_account(account: Account) -> bool:
    """Tells whether an account holds tokens (and is not a mint or a multisig)."""
    if account.owner not in TOKEN_PROGRAMS:
        return False
    data = account.data
    if len(data) == TOKEN_ACCOUNT_BYTES:
        return data[108] != 0
    return (
        account.owner == TOKEN_2022_PROGRAM
        and len(data) > TOKEN_ACCOUNT_BYTES
        and data[TOKEN_ACCOUNT_BYTES] == ACCOUNT_TYPE_ACCOUNT
        and data[108] != 0
    )


def mint_decimals(account: Account | None) -> int | None:
    """Returns the decimals of an initialised mint, or None if the account is none."""
    if account is None or account.owner not in TOKEN_PROGRAMS:
        return None
    data = account.data
    if len(data) < MINT_BYTES or data[45] != 1 or is_token_account(account):
        return None
    return data[44]


def record_of(outcome: Outcome, read: Reader, cost: int) -> dict[str, Any]:
    """Describes an outcome in plain JSON; `read` gives the mints that the accounts name."""
    loaded = outcome.resolved
    return {
        "fee": outcome.fee,
        "pre": [account.lamports if account else 0 for account in outcome.before],
        "post": [account.lamports if account else 0 for account in outcome.after],
        "pre_tokens": list(token_balances(outcome.before, read)),
        "post_tokens": list(token_balances(outcome.after, read)),
        "inner": inner_instructions(outcome),
        "logs": outcome.logs,
        "units": outcome.units,
        "cost": cost,
        "returned": returned_data(outcome),
        "loaded": [
            [str(key) for key in loaded.loaded_writable],
            [str(key) for key in loaded.loaded_readonly],
        ],
    }


def token_balances(
    accounts: tuple[Account | None, ...], read: Reader
) -> Iterator[tuple[int, str, int, int, str, str]]:
    """Yields (index, mint, amount, decimals, owner, program) of each token account."""
    for index, account in enumerate(accounts):
        if account is None or not is_token_account(account):
            continue
        data = account.data
        mint = Pubkey(data[:32])
        decimals = mint_decimals(read(mint))
        if decimals is not None:
            amount = int.from_bytes(data[64:72], "little")
            owner = str(Pubkey(data[32:64]))
            yield index, str(mint), amount, decimals, owner, str(account.owner)


def inner_instructions(outcome: Outcome) -> list[list[Any]]:
    """Lists the calls between programs: (instruction, [[program, accounts, data, height]])."""
    groups: list[list[Any]] = []
    for index, group in enumerate(outcome.inner):
        calls = []
        for inner in group:
            call = inner.instruction()
            data = b64encode(call.data).decode()
            calls.append([call.program_id_index, list(call.accounts), data, inner.stack_height()])
        if calls:
            groups.append([index, calls])
    return groups


def returned_data(outcome: Outcome) -> list[str] | None:
    """Returns what a program returned, as (program, base64), if anything."""
    returned = outcome.return_data
    if returned is None:
        return None
    return [str(returned.program_id), b64encode(returned.data).decode()]
