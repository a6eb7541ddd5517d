"""Simulating to learn: limits where all is well, and whose fault it is where not.

A plan that fails is taken apart until what remains simulates well: one bad wallet among sixty
costs one more simulation, not sixty transactions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import structlog
from solders.pubkey import Pubkey

from minting.cluster.client import INVALID_PARAMS, fails_for_its_format
from minting.cluster.concurrency import together
from minting.engine.apart import halves, without
from minting.engine.blame import Blame, Fault, blame, confirm
from minting.engine.compose import unsigned_for_simulation
from minting.engine.errors import FormatRefused, InsufficientFunds, MintingRefused
from minting.engine.types import MessageVersion, PlannedTransaction, Simulation
from minting.service.planning import RefusedGroup
from minting.service.session import Session
from minting.service.terms import Terms

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


async def _learn_one(session: Session, terms: Terms, plan: PlannedTransaction) -> Learned:
    simulation = await session.cluster.simulate(
        unsigned_for_simulation(
            plan, mint=terms.mint, program=terms.program, authority=terms.authority
        )
    )
    if simulation.err is None:
        return Learned(good=((plan, simulation),))
    if plan.version is MessageVersion.V1 and fails_for_its_format(simulation):
        raise FormatRefused(INVALID_PARAMS, str(simulation.err))
    found = await _judge(session, terms, plan, simulation)
    log.info("simulation_failed", fault=found.fault.value, code=found.code, reason=found.why)
    if found.fault is Fault.WAVE:
        await _stop(session, terms, plan, found)
    if found.fault is Fault.SPLIT:
        return await learn(session, terms, halves(plan, terms.prices))
    if found.destination is None:
        return _leave_out(plan, found)
    out = _leave_out(plan, found, found.destination.token_account)
    rest = without(plan, found.destination.token_account, terms.prices)
    return out if rest is None else out + await _learn_one(session, terms, rest)


async def _judge(
    session: Session, terms: Terms, plan: PlannedTransaction, simulation: Simulation
) -> Blame:
    """Suspects, and reads the suspect's account again before it is blamed."""
    suspicion = blame(
        simulation.err, plan, mint=terms.mint, program=terms.program, authority=terms.authority
    )
    if suspicion.fault is not Fault.WALLET or suspicion.destination is None:
        return suspicion
    view = await session.cluster.account(suspicion.destination.token_account)
    return confirm(suspicion, view, terms.mint)


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
