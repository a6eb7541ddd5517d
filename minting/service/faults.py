"""A simulation failed: whose fault is it, and what becomes of the group?"""

from __future__ import annotations

from minting.engine.blame import Blame, Fault, blame, confirm
from minting.engine.errors import InsufficientFunds, MintingRefused
from minting.engine.types import PlannedTransaction, Simulation
from minting.service.planning import RefusedGroup, Terms
from minting.service.session import Session


async def judge_failure(
    session: Session, terms: Terms, plan: PlannedTransaction, simulation: Simulation
) -> RefusedGroup:
    """Suspects, reads the suspect's account again, and says which group is left out.

    Returns:
        The group with its reason; ``permanent`` only where the wallet's own fault is proven. What
        is nobody's proven fault may be planned anew.

    Raises:
        InsufficientFunds, MintingRefused: payer, authority, mint or program; no wallet is blamed.
    """
    suspicion = blame(
        simulation.err,
        plan,
        mint=terms.mint,
        program=terms.program,
        authority=terms.authority,
    )
    if suspicion.fault is Fault.WALLET and suspicion.destination is not None:
        view = await session.cluster.account(suspicion.destination.token_account)
        suspicion = confirm(suspicion, view, terms.mint)
    if suspicion.fault is Fault.WAVE:
        await _stop(session, terms, plan, suspicion)
    group = (suspicion.destination or plan.destinations[0]).group
    return RefusedGroup(
        group, suspicion.code, suspicion.why, permanent=suspicion.fault is Fault.WALLET
    )


async def _stop(session: Session, terms: Terms, plan: PlannedTransaction, found: Blame) -> None:
    if found.code == "insufficient_funds":
        balance, _ = await session.cluster.balance(terms.authority)
        raise InsufficientFunds(max(1, plan.cost.total + terms.floor - balance))
    raise MintingRefused(f"{found.code}: {found.why}")
