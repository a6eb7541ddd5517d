"""From a reading to its minting, waited for: the same batches as ``POST readings/{id}/mint``."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from uuid import UUID

from django.conf import settings
from django.urls import reverse
from rest_framework.request import Request

from minting.access import trail
from minting.api.base import caller
from minting.api.doors.errors import CannotBeMinted, MintFailed, MintStillRunning
from minting.api.idempotency import Written, batch_once, join_batch
from minting.api.preferences import LOOK_EVERY, MOST, seat
from minting.api.shown import shown_reading
from minting.engine.errors import BlockchainError, InvalidBatchData
from minting.models import BatchSource, MintBatch, MintResult
from minting.service.requests.prepare import MATCHING, NAMED, request_batch
from readings.models import MeterReading
from readings.rules import IN_FLIGHT, ReadingStatus

WAIT = MOST
"""Seconds."""


def pay(request: Request, reading_id: UUID) -> MintResult:
    """Mints a reading, or waits with whoever does, and answers its success.

    Raises:
        UnknownReading: There is none.
        CannotBeMinted: It is minted already, or may not be.
        MintFailed: It was tried.
        MintStillRunning: The outcome is not known in time.
        BlockchainError: Nothing can be minted now.
    """
    shown_reading(reading_id)
    join = partial(join_batch, request)
    batch = batch_once(
        request, lambda written: _request(reading_id, request, NAMED, written=written, join=join)
    )
    result = _outcome(batch, reading_id, request)
    if not result.success:
        raise MintFailed(
            reading_id,
            error=result.error,
            error_code=result.error_code,
            batch_id=batch.id,
            batch_url=_address(batch, request),
        )
    return result


def pay_along(request: Request, reading_id: UUID) -> str:
    """Mints a reading that was just stored; what stands against it is no error of the request.

    Returns:
        Why it is not minted; nothing if it is.

    Raises:
        MintStillRunning: The outcome is not known in time. A client that sends its reading again
            then waits for the same batch.
    """
    status = MeterReading.objects.values_list("status", flat=True).get(id=reading_id)
    if status != ReadingStatus.PENDING and status not in IN_FLIGHT:
        return ""  # its standing says why, or it is minted
    try:
        # Not by the key: it names the reading that was stored.
        made, join = partial(trail.keep_effect, request), partial(trail.note_repeat, request)
        batch = _request(reading_id, request, MATCHING, written=made, join=join)
    except CannotBeMinted:
        return ""  # somebody was faster
    except BlockchainError as error:
        return str(error)
    result = _outcome(batch, reading_id, request)
    return "" if result.success else (result.error or "The reading was not minted")


def _request(
    reading_id: UUID,
    request: Request,
    allowed: frozenset[ReadingStatus],
    *,
    written: Written,
    join: Callable[[MintBatch], None],
) -> MintBatch:
    """The batch that mints the reading: a new one (``written``), or whose it is (``join``)."""
    try:
        return request_batch(
            [reading_id],
            source=BatchSource.API,
            created_by=caller(request),
            strict=True,
            allowed=allowed,
            max_size=settings.BLOCKCHAIN_MAX_BATCH_SIZE,
            written=written,
        )
    except InvalidBatchData as error:
        if (batch := _flying(reading_id)) is not None:
            join(batch)
            return batch
        why = next(((item.code, item.detail) for item in error.items), (error.code, str(error)))
        raise CannotBeMinted(reading_id, *why) from None


def _flying(reading_id: UUID) -> MintBatch | None:
    """The batch that mints the reading now."""
    reading = MeterReading.objects.get(id=reading_id)
    if reading.status not in IN_FLIGHT or reading.last_result_id is None:
        return None
    result = MintResult.objects.select_related("batch").filter(id=reading.last_result_id).first()
    return result.batch if result else None


def _outcome(batch: MintBatch, reading_id: UUID, request: Request) -> MintResult:
    """What became of the reading, once that is known.

    Raises:
        MintStillRunning: It is not, in time.
    """
    results = MintResult.objects.filter(batch=batch, reading=reading_id)
    began = time.monotonic()
    with seat() as taken:
        until = began + (WAIT if taken else 0)
        # By its own result: whoever mints it may have thousands of others in the same batch.
        while (result := results.get()).success is None and (left := until - time.monotonic()) > 0:
            time.sleep(min(LOOK_EVERY, left))
    if result.success is None:
        waited = round(time.monotonic() - began)
        raise MintStillRunning(waited, batch_id=batch.id, batch_url=_address(batch, request))
    return result


def _address(batch: MintBatch, request: Request) -> str:
    path = reverse("api:mint-batch-detail", kwargs={"batch_id": batch.id})
    return request.build_absolute_uri(path)
