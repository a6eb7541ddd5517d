"""Accounts that are not what they were when their transaction was planned, as a simulation shows.

Owners may close their token accounts or hand them over, and anybody may create one or send
lamports to its address, at any time. A simulation that succeeds shows each account as the mint
would leave it, and by what its creation called whether that was needed. So nothing has to be read
again between plan and wire.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from solders.pubkey import Pubkey
from spl.token.constants import ASSOCIATED_TOKEN_PROGRAM_ID

from minting.engine.blame import Blame, Fault
from minting.engine.errors import WalletRefused
from minting.engine.loads import executed_to_create
from minting.engine.messages import numbered_instructions
from minting.engine.types import (
    Destination,
    MintFacts,
    MintProgram,
    PlannedTransaction,
    Simulation,
)
from minting.engine.wallets import judge_token_account


def paid_accounts(plan: PlannedTransaction) -> tuple[Pubkey, ...]:
    """The token accounts that a plan pays, each once: what its simulation is asked to show."""
    return tuple(dict.fromkeys(each.token_account for each in plan.destinations))


def unpayable(plan: PlannedTransaction, simulation: Simulation, mint: MintFacts) -> Blame | None:
    """The first destination that must not be paid, though the mint would succeed.

    Args:
        plan: What was simulated.
        simulation: Its outcome, without error, showing ``paid_accounts``.
        mint: The mint that pays.
    """
    views = dict(zip(paid_accounts(plan), simulation.accounts, strict=True))
    for destination in plan.destinations:
        try:
            judge_token_account(destination.group.wallet, views[destination.token_account], mint)
        except WalletRefused as refused:
            return Blame(Fault.WALLET, refused.code, str(refused), destination)
    return None


def stale_accounts(
    plan: PlannedTransaction,
    simulation: Simulation,
    *,
    mint: MintFacts,
    program: MintProgram,
    authority: Pubkey,
    account_rent: int,
) -> tuple[Pubkey, ...]:
    """Token accounts whose creation is not what was planned, so that it costs other rent.

    Where their addresses hold the rent already, nothing depends on it: creating them again is how
    a wallet travels that made a transaction fail.

    Args:
        plan: What was simulated.
        simulation: Its outcome, without error.
        mint: The mint that pays.
        program: How a group is minted.
        authority: The mint authority, which pays.
        account_rent: Lamports that keep a token account alive.
    """
    return tuple(
        destination.token_account
        for destination, called in _creations(plan, simulation, mint, program, authority)
        if destination.held_lamports < account_rent
        and called != executed_to_create(destination.held_lamports, account_rent) - 1
    )


def other_rent(
    plan: PlannedTransaction,
    simulation: Simulation,
    *,
    mint: MintFacts,
    program: MintProgram,
    authority: Pubkey,
    account_rent: int,
) -> int | None:
    """What an account costs that the simulation created, if that is not the rent planned with.

    What is given is what ``stale_accounts`` is given.
    """
    views = dict(zip(paid_accounts(plan), simulation.accounts, strict=True))
    for destination, called in _creations(plan, simulation, mint, program, authority):
        view = views[destination.token_account]
        created = called > 0 and destination.held_lamports < account_rent
        if created and view is not None and view.lamports != account_rent:
            return view.lamports
    return None


def _creations(
    plan: PlannedTransaction,
    simulation: Simulation,
    mint: MintFacts,
    program: MintProgram,
    authority: Pubkey,
) -> Iterator[tuple[Destination, int]]:
    """Who is to get a token account, and how many instructions creating it called."""
    called: Mapping[int, int] = dict(simulation.inner_instructions)
    numbered = numbered_instructions(plan, mint=mint, program=program, authority=authority)
    seen: set[Pubkey] = set()
    for index, (destination, instruction) in enumerate(numbered):
        creates = instruction.program_id == ASSOCIATED_TOKEN_PROGRAM_ID
        if destination is None or not creates or destination.token_account in seen:
            continue
        # Only the first creates; the others find it there.
        seen.add(destination.token_account)
        yield destination, called.get(index, 0)
