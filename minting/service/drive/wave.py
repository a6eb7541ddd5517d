"""One wave: transactions that share a blockhash, from plan to wire.

``prepare`` is one network phase (simulate to learn, then sign); the journal's commit comes
between it and ``send``. ``fly`` is all of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog
from django.db import InterfaceError, OperationalError, transaction

from minting import journal
from minting.engine.compose import sign_all
from minting.engine.errors import InsufficientFunds, SolanaError
from minting.engine.packing import total_cost
from minting.engine.types import (
    Blockhash,
    PlannedTransaction,
    SignedTransaction,
    Signer,
    Simulation,
)
from minting.engine.verdicts import is_fresh
from minting.journal import Balance, Claim, Signing
from minting.models import MintInfo, MintTransaction
from minting.service.chain.preflight import Standing
from minting.service.chain.session import Session
from minting.service.chain.terms import Terms
from minting.service.drive import journal_file
from minting.service.drive.tracking import Flight, resend
from minting.service.plan.faults import learn, require_rent
from minting.service.plan.planning import RefusedGroup

log = structlog.get_logger(__name__)

MAX_AGE = 150
"""Blocks for which a blockhash dates a transaction (MAX_PROCESSING_AGE in Agave). Used only to
refuse to sign with an old one; that a transaction is dead is proven by its last valid height."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A wave that is signed and not journalled yet, and the groups that were left out."""

    signed: tuple[SignedTransaction, ...]
    refused: tuple[tuple[PlannedTransaction, RefusedGroup], ...]


@dataclass(frozen=True, slots=True)
class Flown:
    """A wave that is in the air, and the groups that were left out of it."""

    flights: tuple[Flight, ...]
    refused: tuple[tuple[PlannedTransaction, RefusedGroup], ...]


def fly(
    session: Session,
    items: Sequence[tuple[Claim, PlannedTransaction]],
    *,
    standing: Standing,
    terms: Terms,
    signer: Signer,
) -> Flown:
    """Simulates, signs, journals, sends.

    Args:
        session: The way to the chain.
        items: Plans, and the claims that they are signed under.
        standing: Mint and payer, as they were just read.
        terms: What the transactions have in common.
        signer: The mint authority.

    Raises:
        LostClaimError, MintingStopped, InsufficientFunds: as ``journal.record_signed``.
        SolanaError, SignerUnavailable, MintingRefused, VerificationFailed: as ``prepare``.
    """
    balance = Balance(standing.lamports, standing.slot, terms.floor)
    plans = [planned for _, planned in items]
    prepared = session.run(prepare(session, terms, signer, plans, lamports=standing.lamports))
    if not prepared.signed:
        return Flown((), prepared.refused)
    # Plans may have been taken apart, so any reading of one tells which slice it is of.
    claim_of = {
        payment.reading_id: claim for claim, planned in items for payment in planned.payments
    }
    signings = [
        Signing(claim_of[each.plan.payments[0].reading_id], each) for each in prepared.signed
    ]
    write_journal_file(session, standing.info, prepared.signed)
    try:
        with transaction.atomic():
            rows = journal.record_signed(
                signings,
                mint=standing.info,
                fee_payer=str(terms.authority),
                balance=balance,
                max_kwh_per_day=session.config.max_kwh_per_day,
            )
    except (OperationalError, InterfaceError):
        rows = _read_back(signings)
        if not rows:
            raise
    flights = tuple(Flight.of(row) for row in rows)
    send(session, flights)
    return Flown(flights, prepared.refused)


async def prepare(
    session: Session,
    terms: Terms,
    signer: Signer,
    plans: Sequence[PlannedTransaction],
    *,
    lamports: int,
) -> Prepared:
    """Simulates each plan for its limits and its faults, then signs with one fresh blockhash.

    Raises:
        SolanaError: the cluster did not answer, or has only a stale blockhash.
        SignerUnavailable, SignerRefused: whoever holds the key does not sign, now or at all.
        MintingRefused, InsufficientFunds: payer, authority or mint make a simulation fail; no
            wallet is to blame.
        PricesChanged: what was recalled is not what the simulations show; nothing was signed.
        VerificationFailed: bytes differ from the plan; nothing of the wave may be used.
    """
    missing = total_cost(plans).total + terms.floor - lamports
    if missing > 0:
        raise InsufficientFunds(missing)
    learned = await learn(session, terms, plans)
    if terms.recalled:
        require_rent(terms, learned)
    blockhash = await fresh_blockhash(session, [simulation for _, simulation in learned.good])
    limited = [(plan, terms.limits_of(simulation)) for plan, simulation in learned.good]
    signed = await sign_all(
        [(terms.with_bid(plan, limits), limits) for plan, limits in limited],
        mint=terms.mint,
        program=terms.program,
        authority=terms.authority,
        blockhash=blockhash,
        signers=(signer, *session.open_cosigners()),
        max_priority_fee=terms.max_priority_fee,
    )
    return Prepared(tuple(signed), learned.left_out)


async def fresh_blockhash(session: Session, simulated: Sequence[Simulation] = ()) -> Blockhash:
    """A blockhash that has used up no more than a third of its life.

    Args:
        session: The way to the chain.
        simulated: What just ran at ``confirmed``: each tells the latest blockhash of its bank, so
            that nobody needs to be asked for one.

    Raises:
        SolanaError: the node has only an older one.
    """
    dated = [each.blockhash for each in simulated if each.blockhash is not None]
    newest = max(dated, key=lambda each: each.slot, default=None)
    if newest is not None and _is_surely_fresh(session, newest):
        return newest
    blockhash = await session.cluster.latest_blockhash()
    if _is_surely_fresh(session, blockhash):
        return blockhash
    issued = blockhash.last_valid_block_height - MAX_AGE
    height = await session.heights.ask(session.cluster)
    if not is_fresh(blockhash, height_at_issue=issued, height_now=height):
        raise SolanaError(f"The node's latest blockhash is {height - issued} blocks old")
    return blockhash


def _is_surely_fresh(session: Session, blockhash: Blockhash) -> bool:
    """Whether it is, however high the chain can be by what is known."""
    bound = session.heights.at_most(blockhash.slot)
    session.heights.saw(blockhash.slot)
    issued = blockhash.last_valid_block_height - MAX_AGE
    return bound is not None and is_fresh(blockhash, height_at_issue=issued, height_now=bound)


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


def _read_back(signings: Sequence[Signing]) -> list[MintTransaction]:
    """What is journalled of a wave whose commit was not answered: all of it, or nothing (I2).

    Nothing proves nothing: the server may commit even now. Whoever signs for these readings next
    waits at the rows that commit holds, and then finds them moved (I3).
    """
    signatures = [str(signing.signed.signature) for signing in signings]
    rows = list(MintTransaction.objects.filter(signature__in=signatures).order_by("id"))
    log.warning("commit_unanswered", signed=len(signatures), journalled=len(rows))
    return rows
