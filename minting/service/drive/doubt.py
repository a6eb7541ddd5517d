"""A transaction in doubt as staff see it: since when, on what evidence, when it will be certain.

Nothing here signs. Looking again looks up, settles, and resends the same bytes; a proof of death
takes as long as the chain needs for some 64 slots, so a worker collects it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import Q
from django.utils import timezone

from minting.engine.states import LIVE_TRANSACTIONS, TransactionStatus
from minting.models import MintTransaction
from minting.service import nudges
from minting.service.chain.session import Session, open_session
from minting.service.drive.recover import nudge_if_waiting, prove_dead
from minting.service.drive.tracking import Flight, tick

OPEN = frozenset({TransactionStatus.SIGNED, TransactionStatus.SENT})

IN_DOUBT = Q(status__in=OPEN, doubted_at__isnull=False)
"""Transactions past their due time that neither landed nor are proven dead."""


@dataclass(frozen=True, slots=True)
class Doubt:
    """What is known of a transaction that has neither landed nor is proven dead."""

    since: datetime
    why: str
    """What the last look lacked for a proof."""
    asked_at: datetime | None
    """When nodes last answered; ``None``: not yet."""
    node: str
    """Whose answers these are: a proof never mixes two."""
    finalized_height: int | None
    last_valid_block_height: int
    answers: tuple[str, ...]
    """To "do you know this signature?", in the order asked."""
    blocks_left: int | None
    """Finalized blocks until it can be proven; 0: with the next look that gets its answers."""
    certain_at: datetime | None
    """When that is, as fast as the chain went since the transaction was signed."""


def doubt_of(row: MintTransaction) -> Doubt | None:
    """What staff should know of it; ``None`` where it is in no doubt."""
    if row.doubted_at is None or row.status not in OPEN:
        return None
    evidence: Mapping[str, Any] = row.evidence or {}
    finalized: Mapping[str, int] = evidence.get("finalized") or {}
    asked = evidence.get("asked_at")
    height = finalized.get("block_height")
    # Strictly beyond the last valid height: it may still land at that height + 1 itself.
    left = None if height is None else max(0, row.last_valid_block_height + 1 - height)
    asked_at = datetime.fromisoformat(asked) if asked else None
    return Doubt(
        since=row.doubted_at,
        why=evidence.get("why", ""),
        asked_at=asked_at,
        node=evidence.get("node", ""),
        finalized_height=height,
        last_valid_block_height=row.last_valid_block_height,
        answers=tuple(_answers(evidence)),
        blocks_left=left,
        certain_at=_certain_at(row, asked_at, finalized.get("slot"), left),
    )


def look_again(transaction_id: UUID) -> MintTransaction:
    """Looks the transaction up now; if that settles nothing, a worker collects a proof.

    Returns:
        The transaction as it is afterwards.

    Raises:
        MintTransaction.DoesNotExist: there is no such transaction.
        SolanaError: no node answered; nothing was learned.
    """
    with open_session() as session:
        flight = _look_up(session, transaction_id)
    if flight is not None and flight.is_open and flight.past_life:
        nudges.ask_for_proof(transaction_id)
    return MintTransaction.objects.get(id=transaction_id)


def collect_proof(session: Session, transaction_id: UUID) -> bool:
    """Recovery for this one transaction; whether it was proven dead."""
    flight = _look_up(session, transaction_id)
    if flight is None or not flight.past_life:
        return False
    dead = bool(prove_dead(session, [flight]))
    if dead:
        nudge_if_waiting()
    return dead


def _look_up(session: Session, transaction_id: UUID) -> Flight | None:
    """One look; ``None`` where nothing is open any more."""
    row = MintTransaction.objects.get(id=transaction_id)
    if row.status not in LIVE_TRANSACTIONS:
        return None
    still = tick(session, [Flight.of(row)], search_history=True)
    return still[0] if still else None


def _answers(evidence: Mapping[str, Any]) -> Iterator[str]:
    for report in evidence.get("reports") or ():
        for status in report["statuses"]:
            said = (
                "does not know it"
                if status is None
                else f"{status['commitment']} in slot {status['slot']}, error: {status['err']}"
            )
            yield f"at slot {report['context_slot']}: {said}"
    if (first := evidence.get("first_available_block")) is not None:
        yield f"its ledger begins at block {first}"
    if (absent := evidence.get("second_witness")) is not None:
        yield f"the authority's finalized history {'lacks' if absent else 'lists'} it"


def _certain_at(
    row: MintTransaction, asked_at: datetime | None, slot: int | None, blocks_left: int | None
) -> datetime | None:
    """The pace is measured, not assumed: slots since the blockhash against the clock since."""
    if asked_at is None or slot is None or blocks_left is None or slot <= row.blockhash_slot:
        return None
    if blocks_left == 0:
        return timezone.now()
    pace: timedelta = (asked_at - row.signed_at) / (slot - row.blockhash_slot)
    return asked_at + blocks_left * pace
