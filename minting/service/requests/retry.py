"""Trying failures again: by the clock what is due, by hand what a person names.

A retry is a new batch; the first keeps its results. What waits is in the results themselves
(``retry_at``, ``retry_number``), so that attempts survive any restart.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import structlog
from django.db import transaction
from django.db.models import Min
from django.db.models.functions import Now

from minting import journal
from minting.conf import current
from minting.engine.errors import BlockchainError, EmptyBatch, NothingToRetry
from minting.engine.states import ResultStatus
from minting.models import BatchSource, MintBatch, MintResult
from minting.service.requests.prepare import Retry, due_of, request_batch
from readings.rules import ReadingStatus

log = structlog.get_logger(__name__)

RETRYING = frozenset({ReadingStatus.RETRYING})
AGAIN = frozenset({ReadingStatus.RETRYING, ReadingStatus.FAILED})

PASS = 45.0
"""Seconds after which a pass begins no further batch; the next one is a minute after this one."""


@dataclass(frozen=True, slots=True)
class RetryReport:
    """What one pass did."""

    batches: int = 0
    readings: int = 0
    given_up: int = 0
    """Readings that cannot be tried again any more."""
    postponed: int = 0
    """Batches for which the chain, or minting itself, refused; they stay due."""


def retry_due() -> RetryReport:
    """Makes a new batch of what is due of each batch, oldest first; nothing while stopped."""
    if journal.current_stop() is not None:
        return RetryReport()
    batches = readings = given_up = postponed = 0
    policy = current().retry
    end = time.monotonic() + PASS
    for batch in _batches_due():
        if time.monotonic() >= end:
            break
        due = _due(batch)
        again = [id_ for id_, number in due.items() if policy.has_attempt_left(number)]
        try:
            made = _queue_again(batch, again)
        except BlockchainError as error:
            # What was due stays due, and the next pass asks again.
            log.warning(
                "retry_postponed", batch_id=str(batch.id), code=error.code, reason=str(error)
            )
            postponed += 1
            continue
        # Only what was asked about: more may have become due meanwhile, and has its turn next.
        given_up += _give_up(batch, due)
        if made is not None:
            batches += 1
            readings += made.total_readings
    return RetryReport(batches, readings, given_up, postponed)


def retry_batch(
    batch_id: UUID,
    *,
    by: Any,
    code: str = "",
    written: Callable[[MintBatch], None] | None = None,
) -> MintBatch:
    """Queues what failed in a batch and may be minted now, whatever it failed of.

    Args:
        batch_id: The batch whose failures are tried again.
        by: The user who asks.
        code: Only what failed with this ``error_code``; empty: all of it.
        written: Called with the new batch inside its transaction.

    Raises:
        MintBatch.DoesNotExist: There is no such batch.
        NothingToRetry: Nothing failed, or all of it is minted, taken or held by now.
        MintingRefused: Wrong cluster, mint, authority or decimals.
    """
    batch = MintBatch.objects.get(id=batch_id)
    failed = MintResult.objects.filter(batch=batch, status=ResultStatus.FAILED)
    if code:
        failed = failed.filter(error_code=code)
    try:
        return request_batch(
            list(failed.values_list("reading_id", flat=True)),
            source=BatchSource.RETRY,
            created_by=by,
            strict=False,
            allowed=AGAIN,
            retry=Retry(batch, due=False),
            written=written,
        )
    except EmptyBatch as error:
        raise NothingToRetry from error


def _batches_due() -> Iterator[MintBatch]:
    due = (
        MintResult.objects.filter(status=ResultStatus.FAILED, retry_at__lte=Now())
        .order_by()
        .values("batch")
        .annotate(since=Min("retry_at"))
        .order_by("since")
    )
    for row in list(due):
        yield MintBatch.objects.get(id=row["batch"])


def _due(batch: MintBatch) -> dict[UUID, int]:
    """What of a batch is due now: automatic retries so far, by reading."""
    return dict(
        MintResult.objects.filter(
            batch=batch, status=ResultStatus.FAILED, retry_at__lte=Now()
        ).values_list("reading_id", "retry_number")
    )


def _queue_again(batch: MintBatch, ids: Sequence[UUID]) -> MintBatch | None:
    """The new batch; ``None`` where nothing is left to be tried."""
    try:
        return request_batch(
            ids,
            source=BatchSource.RETRY,
            strict=False,
            allowed=RETRYING,
            retry=Retry(batch, due=True),
        )
    except EmptyBatch:
        # Taken by another scheduler or a person, corrected since, or without a wallet now.
        return None


@transaction.atomic
def _give_up(batch: MintBatch, ids: Collection[UUID]) -> int:
    """Ends what was due and got into no batch: the settings or the readings forbid it now."""
    rest = due_of(batch, journal.hold_waiting(ids))
    return journal.give_up_retries(rest) if rest else 0
