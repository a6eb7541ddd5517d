"""Simulating to learn: limits where all is well, and whose fault it is where not.

A plan that fails is taken apart until what remains simulates well: one bad wallet among sixty
costs one more simulation, not sixty transactions.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import structlog
from solders.pubkey import Pubkey

from minting.cluster.client import INVALID_PARAMS, fails_for_its_format
from minting.cluster.concurrency import together
from minting.engine.apart import as_found, halves, without
from minting.engine.blame import PROGRAM_REFUSED, UNPROVEN, Blame, Fault, blame, confirm
from minting.engine.changes import other_rent, paid_accounts, stale_accounts, unpayable
from minting.engine.compose import unsigned_for_simulation
from minting.engine.errors import (
    FormatRefused,
    InsufficientFunds,
    MintingRefused,
    PricesChanged,
    WalletRefused,
)
from minting.engine.types import MessageVersion, PlannedTransaction, Simulation
from minting.engine.wallets import TokenAccountState, judge_token_account
from minting.service.chain.program import refuses_everybody
from minting.service.chain.session import Session
from minting.service.chain.terms import Terms
from minting.service.plan.planning import RefusedGroup

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Learned:
    """What simulating a plan told."""

    good: tuple[tuple[PlannedTransaction, Simulation], ...] = ()
    """Plans that simulate well, with what they use."""
    left_out: tuple[tuple[PlannedTransaction, RefusedGroup], ...] = ()
    """Groups that are not among them; ``permanent`` where the wallet's own fault is proven, else
    they may be planned anew."""

    def __add__(self, other: Learned) -> Learned:
        return Learned((*self.good, *other.good), (*self.left_out, *other.left_out))


async def learn(session: Session, terms: Terms, plans: Sequence[PlannedTransaction]) -> Learned:
    """Simulates plans, all at once, and takes apart those that fail.

    Raises:
        InsufficientFunds, MintingRefused: payer, authority, mint or program; no wallet is blamed.
        FormatRefused: the node does not take transactions of the plans' version.
        SolanaError: the cluster did not answer.
    """
    return sum(await together(_learn_one(session, terms, plan) for plan in plans), Learned())


def require_rent(terms: Terms, learned: Learned) -> None:
    """Whether new accounts cost what was planned, as far as simulations show it.

    Raises:
        PricesChanged: They cost something else by now.
    """
    for plan, simulation in learned.good:
        shown = other_rent(
            plan,
            simulation,
            mint=terms.mint,
            program=terms.program,
            authority=terms.authority,
            account_rent=terms.prices.account_rent,
        )
        if shown is not None:
            raise PricesChanged(
                f"An account costs {shown:,} lamports, planned with {terms.prices.account_rent:,}"
            )


async def _learn_one(
    session: Session, terms: Terms, plan: PlannedTransaction, *, looked_again: bool = False
) -> Learned:
    simulation = await session.cluster.simulate(
        unsigned_for_simulation(
            plan, mint=terms.mint, program=terms.program, authority=terms.authority
        ),
        paid_accounts(plan),
    )
    found = await _fault_of(session, terms, plan, simulation)
    if found is not None:
        log.info("simulation_failed", fault=found.fault.value, code=found.code, reason=found.why)
        return await _without_fault(session, terms, plan, found)
    # Looked at once more at most: who changes them may go on doing so.
    stale = () if looked_again else _stale(terms, plan, simulation)
    if not stale:
        return Learned(good=((plan, simulation),))
    log.info("accounts_changed", accounts=[str(address) for address in stale])
    now = await _as_it_is_now(session, terms, plan, stale)
    return await _learn_one(session, terms, now, looked_again=True)


async def _fault_of(
    session: Session, terms: Terms, plan: PlannedTransaction, simulation: Simulation
) -> Blame | None:
    if simulation.err is None:
        return unpayable(plan, simulation, terms.mint)
    if plan.version is MessageVersion.V1 and fails_for_its_format(simulation):
        raise FormatRefused(INVALID_PARAMS, str(simulation.err))
    return await _judge(session, terms, plan, simulation)


async def _without_fault(
    session: Session, terms: Terms, plan: PlannedTransaction, found: Blame
) -> Learned:
    """What is learned of the plan without whom its failure concerns."""
    if found.fault is Fault.WAVE:
        await _stop(session, terms, plan, found)
    if found.fault is Fault.SPLIT:
        return await learn(session, terms, halves(plan, terms.prices))
    if found.destination is None:
        return _leave_out(plan, found)
    out = _leave_out(plan, found, found.destination.token_account)
    rest = without(plan, found.destination.token_account, terms.prices)
    return out if rest is None else out + await _learn_one(session, terms, rest)


def _stale(terms: Terms, plan: PlannedTransaction, simulation: Simulation) -> tuple[Pubkey, ...]:
    return stale_accounts(
        plan,
        simulation,
        mint=terms.mint,
        program=terms.program,
        authority=terms.authority,
        account_rent=terms.prices.account_rent,
    )


async def _as_it_is_now(
    session: Session, terms: Terms, plan: PlannedTransaction, stale: Sequence[Pubkey]
) -> PlannedTransaction:
    """The plan with these accounts as they are by now; what must not be paid shows next time."""
    views = dict(zip(stale, (await session.cluster.accounts(stale))[0], strict=True))
    states: dict[Pubkey, TokenAccountState] = {}
    for each in plan.destinations:
        if each.token_account in views:
            with suppress(WalletRefused):
                states[each.token_account] = judge_token_account(
                    each.group.wallet, views[each.token_account], terms.mint
                )
    return as_found(plan, states, terms.prices)


async def _judge(
    session: Session, terms: Terms, plan: PlannedTransaction, simulation: Simulation
) -> Blame:
    """Suspects, and reads the suspect's account again before it is blamed.

    A program's refusal that the account does not explain is asked about once more: whether it
    refuses everybody (then the wave stops) or this destination (then it travels alone).
    """
    suspicion = blame(
        simulation.err, plan, mint=terms.mint, program=terms.program, authority=terms.authority
    )
    if suspicion.fault is not Fault.WALLET or suspicion.destination is None:
        return suspicion
    view = await session.cluster.account(suspicion.destination.token_account)
    found = confirm(suspicion, view, terms.mint)
    unproven = found.code in (PROGRAM_REFUSED, UNPROVEN)
    if unproven and await refuses_everybody(session.cluster, terms.program, terms.mint):
        return replace(found, fault=Fault.WAVE, destination=None)
    return found


def _leave_out(
    plan: PlannedTransaction, found: Blame, token_account: Pubkey | None = None
) -> Learned:
    """The groups paid to one token account, or all of the plan's."""
    return Learned(
        left_out=tuple(
            (
                plan,
                RefusedGroup(
                    each.group, found.code, found.why, permanent=found.fault is Fault.WALLET
                ),
            )
            for each in plan.destinations
            if token_account in (None, each.token_account)
        )
    )


async def _stop(session: Session, terms: Terms, plan: PlannedTransaction, found: Blame) -> None:
    if found.code == "insufficient_funds":
        balance, _ = await session.cluster.balance(terms.authority)
        raise InsufficientFunds(max(1, plan.cost.total + terms.floor - balance))
    raise MintingRefused(f"{found.code}: {found.why}")
