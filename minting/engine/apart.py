"""Taking a transaction apart: without a destination, in halves, or by what landed with an error.

Pure. Whose fault a failure is, ``blame`` says; here is what is left of the plan.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction
from spl.token.constants import ASSOCIATED_TOKEN_PROGRAM_ID

from minting.engine.blame import LIMIT_ERRORS, NEGATIVE_LAMPORTS, instruction_error
from minting.engine.packing import Prices, transaction_cost
from minting.engine.types import Destination, PlannedTransaction
from minting.engine.wallets import TOKEN_PROGRAMS, TokenAccountState

_TOKEN_ACCOUNT = 1
"""Its place among the accounts of both a create and a token program's mint instruction."""


def without(
    plan: PlannedTransaction, token_account: Pubkey, prices: Prices
) -> PlannedTransaction | None:
    """The plan less whatever it pays to one token account; ``None`` if nothing remains."""
    rest = [each for each in plan.destinations if each.token_account != token_account]
    return _replanned(plan, rest, prices) if rest else None


def as_found(
    plan: PlannedTransaction, found: Mapping[Pubkey, TokenAccountState], prices: Prices
) -> PlannedTransaction:
    """The plan with some token accounts as they are now."""
    destinations = (
        replace(each, create=state.create, held_lamports=state.held_lamports)
        if (state := found.get(each.token_account)) is not None
        else each
        for each in plan.destinations
    )
    return _replanned(plan, destinations, prices)


def halves(
    plan: PlannedTransaction, prices: Prices
) -> tuple[PlannedTransaction, PlannedTransaction]:
    """Two plans of half as many destinations each.

    An account that the first half creates and the second pays too is created by both: they may
    land in any order, and the instruction is idempotent. Its rent is counted once.

    Raises:
        ValueError: the plan has a single destination.
    """
    middle = len(plan.destinations) // 2
    if not middle:
        raise ValueError("a single destination has no halves")
    first, second = plan.destinations[:middle], plan.destinations[middle:]
    created = {each.token_account: each.held_lamports for each in first if each.create}
    second = tuple(_created_again(each, created) for each in second)
    one = _replanned(plan, first, prices)
    rented = frozenset(created)
    rest = _replanned(plan, second, prices)
    cost = transaction_cost(second, prices, version=plan.version, rented=rented)
    return one, replace(rest, cost=replace(rest.cost, rent=cost.rent))


def blamed_accounts(raw: bytes, err: object) -> frozenset[Pubkey]:
    """The token account of the instruction that made a landed transaction fail.

    Where a program was called that mints: all accounts of the call, of which one is it.

    Args:
        raw: The transaction's bytes.
        err: Its error, as JSON.

    Returns:
        Nothing where no wallet is to blame: the error names no instruction, or one that pays
        nobody (the memo), or says that a limit or the payer's lamports were at an end there.
    """
    if not isinstance(err, Mapping):
        return frozenset()
    index, reason = instruction_error(err.get("InstructionError"))
    message = VersionedTransaction.from_bytes(raw).message
    if index is None or not 0 <= index < len(message.instructions) or reason in LIMIT_ERRORS:
        return frozenset()
    failed = message.instructions[index]
    called = message.account_keys[failed.program_id_index]
    creates = called == ASSOCIATED_TOKEN_PROGRAM_ID
    if len(failed.accounts) <= _TOKEN_ACCOUNT or (creates and reason == NEGATIVE_LAMPORTS):
        return frozenset()
    accounts = [message.account_keys[number] for number in failed.accounts]
    if creates or called in TOKEN_PROGRAMS:
        return frozenset({accounts[_TOKEN_ACCOUNT]})
    return frozenset(accounts)


def _replanned(
    plan: PlannedTransaction, destinations: Iterable[Destination], prices: Prices
) -> PlannedTransaction:
    """The plan with other destinations; its rent never grows by leaving some out."""
    kept = tuple(destinations)
    cost = transaction_cost(kept, prices, version=plan.version)
    rent = min(plan.cost.rent, cost.rent)
    return replace(plan, destinations=kept, cost=replace(plan.cost, rent=rent))


def _created_again(destination: Destination, created: Mapping[Pubkey, int]) -> Destination:
    held = created.get(destination.token_account)
    return destination if held is None else replace(destination, create=True, held_lamports=held)
