"""One wave: transactions that share a blockhash, from plan to wire.

``prepare`` is one network phase (simulate to learn, then sign); the journal's commit comes
between it and ``send``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog

from minting.engine.compose import sign
from minting.engine.errors import InsufficientFunds, SolanaError
from minting.engine.packing import total_cost
from minting.engine.types import (
    Blockhash,
    Commitment,
    PlannedTransaction,
    SignedTransaction,
    Signer,
    Simulation,
)
from minting.engine.verdicts import is_fresh
from minting.journal import Balance
from minting.models import MintInfo
from minting.service import journal_file
from minting.service.faults import learn
from minting.service.planning import RefusedGroup
from minting.service.session import Session
from minting.service.terms import Terms
from minting.service.tracking import Flight, resend

log = structlog.get_logger(__name__)

MAX_AGE = 150
"""Blocks for which a blockhash dates a transaction (MAX_PROCESSING_AGE in Agave). Used only to
refuse to sign with an old one; that a transaction is dead is proven by its last valid height."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A wave that is signed and not journalled yet, and the groups that were left out."""

    signed: tuple[SignedTransaction, ...]
    refused: tuple[tuple[PlannedTransaction, RefusedGroup], ...]
    balance: Balance


async def prepare(
    session: Session, terms: Terms, signer: Signer, plans: Sequence[PlannedTransaction]
) -> Prepared:
    """Simulates each plan for its limits and its faults, then signs with one fresh blockhash.

    Raises:
        SolanaError: the cluster did not answer, or has only a stale blockhash.
        MintingRefused, InsufficientFunds: payer, authority or mint make a simulation fail; no
            wallet is to blame.
        VerificationFailed: bytes differ from the plan; nothing of the wave may be used.
    """
    lamports, slot = await session.cluster.balance(terms.authority)
    missing = total_cost(plans).total + terms.floor - lamports
    if missing > 0:
        raise InsufficientFunds(missing)
    learned = await learn(session, terms, plans)
    blockhash = await fresh_blockhash(session)
    signed = [
        await _sign(terms, signer, plan, simulation, blockhash) for plan, simulation in learned.good
    ]
    return Prepared(tuple(signed), learned.left_out, Balance(lamports, slot, terms.floor))


async def fresh_blockhash(session: Session) -> Blockhash:
    """A blockhash that has used up no more than a third of its life.

    Raises:
        SolanaError: the node has only an older one.
    """
    blockhash = await session.cluster.latest_blockhash()
    height = (await session.cluster.epoch_info(Commitment.CONFIRMED)).block_height
    issued = blockhash.last_valid_block_height - MAX_AGE
    if not is_fresh(blockhash, height_at_issue=issued, height_now=height):
        raise SolanaError(f"The node's latest blockhash is {height - issued} blocks old")
    return blockhash


def write_journal_file(
    session: Session, mint: MintInfo, signed: Sequence[SignedTransaction]
) -> None:
    """The leaves on disk, before the journal's commit and before the wire."""
    journal_file.append(
        session.config.journal_dir,
        signed,
        genesis_hash=mint.genesis_hash,
        day=datetime.now(UTC).date(),
    )


def send(session: Session, flights: Sequence[Flight]) -> None:
    """First sending; what happened is seen by looking it up, never by the answer."""
    resend(session, flights)


async def _sign(
    terms: Terms,
    signer: Signer,
    plan: PlannedTransaction,
    simulation: Simulation,
    blockhash: Blockhash,
) -> SignedTransaction:
    limits = terms.limits_of(simulation)
    return await sign(
        terms.with_bid(plan, limits),
        mint=terms.mint,
        program=terms.program,
        authority=terms.authority,
        blockhash=blockhash,
        limits=limits,
        signers=[signer],
        max_priority_fee=terms.max_priority_fee,
    )
