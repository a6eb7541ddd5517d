"""How far a batch is: asked every second by whoever watches it, so it costs the same for any size.

The readings are counted by the journal as it goes; transactions are counted by their statuses, at
most one for every nine readings; how fast it goes is what landed in the last minute. Nothing walks
the results.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import Count, Sum
from django.utils import timezone

from minting import journal
from minting.engine.states import TransactionStatus
from minting.models import MintBatch, MintingGate, MintSlice, MintTransaction
from minting.service.drive import journal_disk
from minting.service.drive.doubt import IN_DOUBT

WINDOW = timedelta(minutes=1)
"""What landed in this time tells how fast a batch goes."""

FLIGHT = timedelta(minutes=2)
"""Nothing that landed within the window was signed longer before it, but for what was in doubt."""

_T = TransactionStatus


@dataclass(frozen=True, slots=True)
class Transactions:
    """Of one batch, each counted in everything that it has been."""

    signed: int = 0
    """All that were ever signed."""
    sent: int = 0
    confirmed: int = 0
    """Landed without error, final or not."""
    finalized: int = 0
    failed: int = 0
    """Landed with an error, for good."""
    expired: int = 0
    """Proven dead."""

    @property
    def open(self) -> int:
        """Those whose fate is not settled for good."""
        return self.signed - self.finalized - self.failed - self.expired


@dataclass(frozen=True, slots=True)
class Progress:
    """A batch at one moment."""

    total: int
    minted: int
    failed: int
    in_doubt: int
    """Readings in transactions that neither landed nor are proven dead, past their time."""
    transactions: Transactions
    per_minute: int | None
    """Readings that landed in the last minute; ``None`` where nothing did, or nothing is left."""
    expected_end: datetime | None
    """When the last reading lands, if it goes on like this."""
    waits_for: str
    """Why nothing is signed at the moment; empty where nothing stands in the way."""
    final: bool
    """Every reading has its outcome."""

    @property
    def open(self) -> int:
        """Readings without an outcome, in doubt or not."""
        return self.total - self.minted - self.failed

    @property
    def over(self) -> bool:
        """Nothing of it moves any more: every outcome is known, and cannot be undone."""
        return self.final and not self.transactions.open


def progress_of(batch: MintBatch) -> Progress:
    """Asks four to six short questions, whatever the batch holds.

    Args:
        batch: As it was read from the database.
    """
    counted = _transactions(batch)
    open_ = batch.pending_mints
    per_minute = _per_minute(batch) if open_ and batch.started_at else None
    return Progress(
        total=batch.total_readings,
        minted=batch.successful_mints,
        failed=batch.failed_mints,
        in_doubt=_in_doubt(batch) if open_ and counted.open else 0,
        transactions=counted,
        per_minute=per_minute,
        expected_end=_expected_end(open_, per_minute),
        waits_for=_waits_for(batch) if open_ else "",
        final=batch.is_final,
    )


def _transactions(batch: MintBatch) -> Transactions:
    rows = batch.transactions.order_by().values_list("status").annotate(Count("id"))
    of = {TransactionStatus(status): count for status, count in rows}
    finalized = of.get(_T.FINALIZED, 0)
    confirmed = of.get(_T.CONFIRMED, 0) + finalized
    failed, expired = of.get(_T.FAILED, 0), of.get(_T.EXPIRED, 0)
    sent = of.get(_T.SENT, 0) + confirmed + failed + expired
    return Transactions(
        signed=of.get(_T.SIGNED, 0) + sent,
        sent=sent,
        confirmed=confirmed,
        finalized=finalized,
        failed=failed,
        expired=expired,
    )


def _in_doubt(batch: MintBatch) -> int:
    """By their transactions, of which few are in doubt, and all of whose readings then are."""
    doubtful = batch.transactions.filter(IN_DOUBT).aggregate(readings=Sum("reading_ids__len"))
    return doubtful["readings"] or 0


def _per_minute(batch: MintBatch) -> int | None:
    """By ids, which are in the order of time: of what was signed lately, in any batch."""
    now = timezone.now()
    since = max(now - WINDOW, batch.started_at or now)
    landed = (
        MintTransaction.objects.filter(
            batch=batch, id__gte=first_id_of(since - FLIGHT), confirmed_at__gte=since
        ).aggregate(readings=Sum("reading_ids__len"))["readings"]
        or 0
    )
    seconds = max((now - since).total_seconds(), 1.0)
    return round(landed * 60 / seconds) or None


def _expected_end(open_: int, per_minute: int | None) -> datetime | None:
    if not open_ or not per_minute:
        return None
    return timezone.now() + timedelta(minutes=1) * (open_ / per_minute)


def _waits_for(batch: MintBatch) -> str:
    """The first thing that stands in the way of signing what is left."""
    if (stop := journal.current_stop()) is not None:
        return f"Minting is stopped ({stop.reason}): what is not signed waits."
    gate = MintingGate.objects.filter(closed_since__isnull=False).first()
    if gate is not None:
        return f"Nothing is signed: {gate.reason}"
    if (left := parked(batch)) is not None:
        return f"Part of it is parked: {left.parked_reason}"
    if full := journal_disk.trouble():
        return f"Nothing is signed: {full}. It goes on by itself once that is mended."
    if batch.started_at is None:
        return "It waits for a worker."
    return ""


def parked(batch: MintBatch) -> MintSlice | None:
    """The first of its slices that workers leave alone for a while, if any."""
    found: MintSlice | None = batch.slices.parked().order_by("number").first()
    return found


def first_id_of(moment: datetime) -> UUID:
    """The least UUIDv7 of a moment."""
    return UUID(int=int(moment.timestamp() * 1000) << 80)
