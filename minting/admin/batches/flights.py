"""What a batch's transactions add up to: one statement, for the story and for the costs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Count, Max, Min, Q, Sum

from minting.engine.states import TransactionStatus
from minting.models import MintBatch
from minting.service.drive.doubt import IN_DOUBT

LANDED = Q(status__in=(TransactionStatus.CONFIRMED, TransactionStatus.FINALIZED))
FAILED = Q(status=TransactionStatus.FAILED)
EXPIRED = Q(status=TransactionStatus.EXPIRED)


@dataclass(frozen=True, slots=True)
class Flights:
    """Counts, moments and lamports over all transactions of one batch."""

    signed: int
    landed: int
    failed: int
    expired: int
    doubtful: int
    """In doubt now."""
    doubted: int
    """Ever in doubt, now or then."""
    open: int
    first_signed: datetime | None
    first_landed: datetime | None
    last_landed: datetime | None
    last_finalized: datetime | None
    first_failed: datetime | None
    first_doubted: datetime | None
    new_accounts: int
    """That landed transactions created."""
    wasted: int
    """Lamports that transactions cost which landed with an error."""
    priority: int
    """Lamports of priority fees, of everything that landed."""


_SUMS: Mapping[str, Any] = {
    "signed": Count("id"),
    "landed": Count("id", filter=LANDED),
    "failed": Count("id", filter=FAILED),
    "expired": Count("id", filter=EXPIRED),
    "doubtful": Count("id", filter=IN_DOUBT),
    "doubted": Count("id", filter=Q(doubted_at__isnull=False)),
    "final": Count("id", filter=Q(status=TransactionStatus.FINALIZED)),
    "first_signed": Min("signed_at"),
    "first_landed": Min("confirmed_at"),
    "last_landed": Max("confirmed_at"),
    "last_finalized": Max("finalized_at"),
    "first_failed": Min("finalized_at", filter=FAILED),
    "first_doubted": Min("doubted_at"),
    "new_accounts": Sum("new_accounts", filter=LANDED, default=0),
    "wasted_network": Sum("network_fee_lamports", filter=FAILED, default=0),
    "wasted_priority": Sum("priority_fee_lamports", filter=FAILED, default=0),
    "priority": Sum("priority_fee_lamports", filter=LANDED | FAILED, default=0),
}


def flights_of(batch: MintBatch) -> Flights:
    """Asks once."""
    sums = batch.transactions.order_by().aggregate(**_SUMS)
    final = sums.pop("final")
    wasted = sums.pop("wasted_network") + sums.pop("wasted_priority")
    settled = final + sums["failed"] + sums["expired"]
    return Flights(**sums, wasted=wasted, open=sums["signed"] - settled)
