"""Following transactions that are in the journal: look up, settle, resend.

The same tick serves the driver, which has just signed them, and recovery, which has found them
signed by somebody who is gone. It never signs anything, so it may run anywhere, any time, twice.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from math import inf
from uuid import UUID

import structlog
from django.db import transaction

from minting import journal
from minting.cluster.concurrency import together
from minting.engine.apart import blamed_accounts
from minting.engine.states import TransactionStatus
from minting.engine.types import Commitment, MessageVersion, SignatureStatus, Watched
from minting.engine.verdicts import is_past_life
from minting.journal import Landing, OnChainError
from minting.models import MintInfo, MintTransaction
from minting.service.chain import terms
from minting.service.chain.program import explained
from minting.service.chain.session import Session

log = structlog.get_logger(__name__)

RESEND_EVERY = 2.0
"""Seconds between two sends of the same bytes: harmless, before and after landing."""

_ORDER = [Commitment.PROCESSED, Commitment.CONFIRMED, Commitment.FINALIZED]


@dataclass(slots=True)
class Flight:
    """A journalled transaction that is followed, and what was last seen of it."""

    id: UUID
    slice_id: UUID
    signature: str
    raw: bytes
    version: MessageVersion
    genesis_hash: str
    blockhash_slot: int
    last_valid_block_height: int
    status: TransactionStatus
    slot: int | None = None
    sent_at: float | None = None
    """When it was first sent from here; monotonic seconds."""
    resend_at: float = field(default=0.0)
    """Monotonic seconds."""
    past_life: bool = False
    """Whether the confirmed height is past its last; then only proof helps."""
    doubted: bool = False
    told_at: float = field(default=-inf)
    """When the evidence was last written down; monotonic seconds."""

    @classmethod
    def of(cls, row: MintTransaction) -> Flight:
        """From its row."""
        return cls(
            id=row.id,
            slice_id=row.slice_id,
            signature=row.signature,
            raw=bytes(row.raw),
            version=MessageVersion(row.version),
            genesis_hash=row.genesis_hash,
            blockhash_slot=row.blockhash_slot,
            last_valid_block_height=row.last_valid_block_height,
            status=TransactionStatus(row.status),
            slot=row.slot,
            doubted=row.doubted_at is not None,
        )

    @property
    def is_open(self) -> bool:
        """Whether it is signed and neither landed nor dead, as far as was seen here."""
        return self.status in {TransactionStatus.SIGNED, TransactionStatus.SENT}

    @property
    def watched(self) -> Watched:
        """As the proof of death asks for it."""
        return Watched(
            self.signature, self.genesis_hash, self.blockhash_slot, self.last_valid_block_height
        )


@dataclass(frozen=True, slots=True)
class Sighting:
    """One transaction's entry of a status report, and whether its time is over."""

    flight: Flight
    status: SignatureStatus | None
    context_slot: int
    past_life: bool

    @property
    def landed(self) -> bool:
        """Whether it is on chain without error, and not only processed, which can vanish."""
        return (
            self.status is not None
            and self.status.err is None
            and self.status.commitment is not Commitment.PROCESSED
        )


def tick(
    session: Session, flights: Sequence[Flight], *, search_history: bool = False
) -> list[Flight]:
    """Looks up, settles, and resends what may still land.

    Returns:
        The flights that need another tick: neither landed as well as is wanted, nor failed for
        good.

    Raises:
        SolanaError: no node answered; nothing was learned.
    """
    flights, elsewhere = _by_cluster(session, flights)
    if not flights:
        return elsewhere
    sightings = session.run(_look_up(session, flights, search_history=search_history))
    landed = [sighting for sighting in sightings if sighting.landed]
    _settle_landed(session, landed)
    still = [sighting.flight for sighting in landed if not _is_enough(session, sighting)]
    still += [
        sighting.flight
        for sighting in sightings
        if not sighting.landed and _settle(session, sighting)
    ]
    resend(session, [flight for flight in still if not flight.past_life])
    return elsewhere + still


def _by_cluster(
    session: Session, flights: Sequence[Flight]
) -> tuple[Sequence[Flight], list[Flight]]:
    """Those of the cluster that answers, and the others: of these its silence says nothing."""
    if not flights:
        return flights, []
    here = session.run(session.cluster.genesis_hash())
    elsewhere = [flight for flight in flights if flight.genesis_hash != here]
    if elsewhere:
        log.error("transactions_of_another_cluster", number=len(elsewhere), asked=here)
        flights = [flight for flight in flights if flight.genesis_hash == here]
    return flights, elsewhere


def resend(session: Session, flights: Iterable[Flight]) -> None:
    """Sends the bytes of what was not sent lately; what was only journalled becomes sent.

    A refusal tells nothing about what was sent. Of the node it tells one thing: that it cannot
    read v1, and then what is signed from now on is v0.
    """
    now = time.monotonic()
    due = [
        flight
        for flight in flights
        if flight.resend_at <= now and flight.status is not TransactionStatus.CONFIRMED
    ]
    if not due:
        return
    if session.run(_send_all(session, due)):
        terms.forget_v1(session)
    for flight in due:
        flight.sent_at = flight.sent_at or now
        flight.resend_at = now + RESEND_EVERY
    fresh = [flight.id for flight in due if flight.status is TransactionStatus.SIGNED]
    if fresh:
        with transaction.atomic():
            journal.record_sent(fresh)
    for flight in due:
        flight.status = TransactionStatus.SENT


async def _look_up(
    session: Session, flights: Sequence[Flight], *, search_history: bool
) -> list[Sighting]:
    # Height first: what the later statuses do not show by then had its whole life. As long as no
    # life can be over, nobody needs to know it.
    height = 0
    if search_history or session.heights.may_be_past(
        min(flight.last_valid_block_height for flight in flights)
    ):
        height = await session.heights.ask(session.cluster)
    report = await session.cluster.statuses(
        [flight.signature for flight in flights], search_history=search_history
    )
    session.heights.saw(report.context_slot)
    return [
        Sighting(
            flight,
            status,
            report.context_slot,
            is_past_life(height, flight.last_valid_block_height),
        )
        for flight, status in zip(flights, report.statuses, strict=True)
    ]


async def _send_all(session: Session, flights: Sequence[Flight]) -> bool:
    """Whether the format of a v1 transaction was refused."""
    # The cluster bounds how many of these are on the wire at once.
    notes = await together(session.cluster.send(flight.raw) for flight in flights)
    v1_refused = False
    for flight, note in zip(flights, notes, strict=True):
        if note is not None:
            log.debug("send_noted", signature=flight.signature, note=note)
            v1 = flight.version is MessageVersion.V1
            v1_refused = v1_refused or (v1 and note.format_refused)
    return v1_refused


def _settle_landed(session: Session, sightings: Sequence[Sighting]) -> None:
    """Applies all landings at once."""
    landings = []
    for sighting in sightings:
        flight, status = sighting.flight, sighting.status
        if status is not None:
            landings.append(Landing(flight.id, status.slot, status.commitment))
            final = status.commitment is Commitment.FINALIZED
            flight.status = TransactionStatus.FINALIZED if final else TransactionStatus.CONFIRMED
            flight.slot = status.slot
    if landings:
        with transaction.atomic():
            journal.record_landed(landings, success_at=session.config.commitment)


def _is_enough(session: Session, sighting: Sighting) -> bool:
    """Whether it has reached the commitment at which results succeed."""
    return sighting.status is not None and _ORDER.index(sighting.status.commitment) >= _ORDER.index(
        session.config.commitment
    )


def _settle(session: Session, sighting: Sighting) -> bool:
    """Applies what is no landing; returns whether the flight has to be followed further.

    A database transaction for each that has to be told: what goes wrong is rare.
    """
    flight, status = sighting.flight, sighting.status
    flight.past_life = sighting.past_life
    if status is None:
        return _settle_silence(sighting)
    if status.commitment is Commitment.PROCESSED:
        return True
    return _settle_error(session, flight, status)


def _settle_silence(sighting: Sighting) -> bool:
    """No status: alive, vanished with its fork, or past its time and in doubt."""
    flight = sighting.flight
    if flight.status is TransactionStatus.CONFIRMED:
        # A node that is behind the landing's slot cannot know of it.
        if flight.slot is None or sighting.context_slot <= flight.slot:
            return True
        with transaction.atomic():
            journal.record_vanished(flight.id)
        flight.status, flight.slot = TransactionStatus.SENT, None
    if flight.past_life and not flight.doubted:
        with transaction.atomic():
            journal.record_doubt(flight.id, {"why": "past its last valid block height, not proven"})
        flight.doubted = True
    return True


def _settle_error(session: Session, flight: Flight, status: SignatureStatus) -> bool:
    """A landed error frees its results only when finalized."""
    error = OnChainError(flight.id, status.slot, status.err)
    if status.commitment is not Commitment.FINALIZED:
        with transaction.atomic():
            journal.record_error_seen(error)
        return True
    with transaction.atomic():
        journal.record_failed(
            error,
            code="transaction_failed",
            reason=f"The transaction landed with an error: {json.dumps(status.err)}"
            + explained(session.config, status.err),
            blamed=_blamed_wallet(flight, status.err),
            retry=session.config.retry,
        )
    flight.status = TransactionStatus.FAILED
    return False


def _blamed_wallet(flight: Flight, err: object) -> str | None:
    """The wallet whose instruction made a landed transaction fail, if one did."""
    accounts = blamed_accounts(flight.raw, err)
    if not accounts:
        return None
    row = MintTransaction.objects.get(id=flight.id)
    info = MintInfo.objects.get(genesis_hash=row.genesis_hash, address=row.mint_address)
    wallets = row.results.values_list("wallet_address", flat=True).distinct()
    return next((wallet for wallet in wallets if info.token_account_of(wallet) in accounts), None)
