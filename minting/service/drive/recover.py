"""Whatever is signed and not settled: looked up, settled, resent, or proven dead.

Runs at the start of every task for the slices it claims, every minute for all, and as
``manage.py recover``. It signs nothing; what it frees is planned anew by whoever claims the slice.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import structlog
from django.db import transaction
from django.db.models import F, QuerySet
from django.utils import timezone
from solders.pubkey import Pubkey

from gridtoken import following
from minting import journal
from minting.engine.errors import MintingRefused, SolanaError
from minting.engine.states import LIVE_TRANSACTIONS, TransactionStatus
from minting.engine.types import DeathEvidence, Verdict
from minting.engine.verdicts import Judgement, judge
from minting.journal import Expiry
from minting.models import Landmark, MintSlice, MintTransaction
from minting.service import nudges
from minting.service.chain.preflight import expect_cluster
from minting.service.chain.session import Session
from minting.service.drive.tracking import Flight, tick

log = structlog.get_logger(__name__)

TRANSACTIONS_A_PASS = 256
"""What one ``getSignatureStatuses`` answers."""

TELL_EVERY = 5.0
"""Seconds between two writings of why a transaction is in doubt; asking may be faster."""

KNOWN_SIGNATURES = 1_000
"""Landed transactions, the newest, at which a walk of the authority's history may end."""


@dataclass(frozen=True, slots=True)
class RecoveryReport:
    """What one pass found and did."""

    looked_up: int = 0
    settled: int = 0
    expired: int = 0
    open: int = 0
    nudged: bool = False


def recover(session: Session) -> RecoveryReport:
    """One pass over everything in doubt, in flight, or confirmed and not final.

    Raises:
        SolanaError: no node answered; what was done until then is kept.
        MintingRefused: every node is on another cluster.
    """
    expect_cluster(session)
    looked_up = settled = 0
    silent: list[Flight] = []
    for flights in _in_chunks():
        still = tick(session, flights, search_history=True)
        looked_up += len(flights)
        settled += len(flights) - len(still)
        # Their bytes are not sent again, and are most of what they take of the memory.
        silent += [replace(flight, raw=b"") for flight in still if flight.past_life]
    # Only when all was looked up: a proof takes the time of some 64 slots, for any number.
    report = RecoveryReport(
        looked_up=looked_up,
        settled=settled,
        expired=prove_dead(session, silent),
        open=MintTransaction.objects.filter(status__in=LIVE_TRANSACTIONS).count(),
        nudged=nudge_if_waiting(),
    )
    log.info("recovered", **asdict(report))
    return report


def nudge_if_waiting() -> bool:
    """Calls a worker when slices wait that nobody drives: a nudge may have been lost."""
    waiting = slices_wait()
    if waiting:
        nudges.nudge()
    return waiting


def slices_wait() -> bool:
    """Whether there is work that nobody drives, and that may be signed for.

    Behind a stop or a closed gate nobody is called: what is signed is the sweep's to follow.
    """
    return (
        MintSlice.objects.waiting().exists()
        and journal.current_stop() is None
        and not journal.gate_is_closed()
    )


def prove_dead(session: Session, flights: Sequence[Flight]) -> int:
    """Tries to prove that silent transactions can no longer land; releases those that cannot.

    Returns:
        How many were proven dead. The others stay in doubt, with what was answered.
    """
    silent = [flight for flight in flights if flight.status is not TransactionStatus.CONFIRMED]
    return sum(_prove_dead(session, payer, group) for payer, group in _by_payer(silent).items())


def _prove_dead(session: Session, payer: str, silent: Sequence[Flight]) -> int:
    """The same for what one address signed: its history says nothing of what another signed."""
    known = _known_signatures(payer, silent)
    try:
        evidence = session.run(
            session.cluster.death_evidence(
                [flight.watched for flight in silent],
                Pubkey.from_string(payer),
                is_known=known.__contains__,
            )
        )
    except (SolanaError, MintingRefused) as error:
        # No answer is no evidence; the transactions stay as they are.
        log.warning("no_evidence", reason=str(error))
        return 0
    dead = 0
    for flight in silent:
        found = evidence[flight.signature]
        judgement = judge(flight.watched, found)
        told = _as_json(found, judgement)
        now = time.monotonic()
        with transaction.atomic():
            if judgement.verdict is Verdict.DEAD:
                dead += journal.record_expired(Expiry(flight.id, told))
                flight.status = TransactionStatus.EXPIRED
            elif judgement.verdict is not Verdict.LANDED and flight.told_at + TELL_EVERY <= now:
                journal.record_doubt(flight.id, told)
                flight.told_at = now
    return dead


def live_flights(slice_ids: Sequence[Any]) -> list[Flight]:
    """What is signed for these slices and neither landed nor dead."""
    rows = MintTransaction.objects.filter(
        slice_id__in=slice_ids, status__in=(TransactionStatus.SIGNED, TransactionStatus.SENT)
    )
    return _flights(rows.order_by("id"))


def _in_chunks() -> Iterator[list[Flight]]:
    last = None
    while True:
        rows = MintTransaction.objects.filter(status__in=LIVE_TRANSACTIONS).order_by("id")
        if last is not None:
            rows = rows.filter(id__gt=last)
        chunk = _flights(rows, at_most=TRANSACTIONS_A_PASS)
        if not chunk:
            return
        last = chunk[-1].id
        yield chunk


def _flights(rows: QuerySet[MintTransaction], *, at_most: int | None = None) -> list[Flight]:
    """Without what they pay, which is thousands of ids a row."""
    found = rows.annotate(request_id=F("batch__request_id")).defer("reading_ids")
    flights = []
    for row in found[:at_most]:
        following.remember(row.batch_id, row.request_id)
        flights.append(Flight.of(row))
    return flights


def _by_payer(flights: Sequence[Flight]) -> dict[str, list[Flight]]:
    """Who signed them; after a change of the authority's key there may be two."""
    ids = [flight.id for flight in flights]
    rows = MintTransaction.objects.filter(id__in=ids) if ids else MintTransaction.objects.none()
    payers = dict(rows.values_list("id", "fee_payer"))
    groups: defaultdict[str, list[Flight]] = defaultdict(list)
    for flight in flights:
        groups[payers[flight.id]].append(flight)
    return dict(groups)


def _known_signatures(payer: str, flights: Sequence[Flight]) -> frozenset[str]:
    """Where a walk of the payer's history may end: its landmark, and what landed of ours.

    That it is older than a blockhash is read from the walk itself. The newest that are older than
    the oldest blockhash end a walk for all; those older than the newest one still serve some where
    nothing older is known.
    """
    known = set(Landmark.objects.filter(address=payer).values_list("signature", flat=True))
    slots = [flight.blockhash_slot for flight in flights]
    for bound in (min(slots), max(slots)):
        known.update(
            MintTransaction.objects.filter(slot__lt=bound)
            .order_by("-id")
            .values_list("signature", flat=True)[:KNOWN_SIGNATURES]
        )
    return frozenset(known)


def _as_json(evidence: DeathEvidence, judgement: Judgement) -> dict[str, Any]:
    """The evidence as it is kept and shown."""
    return {
        "verdict": judgement.verdict.value,
        "why": judgement.why,
        "asked_at": timezone.now().isoformat(),
        **asdict(evidence),
    }
