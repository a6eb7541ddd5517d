"""A batch begins: readings taken, results pending, slices to be claimed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

import structlog
from uuid_utils.compat import uuid7

from minting.engine.states import ResultStatus, reading_status
from minting.engine.types import Cost
from minting.journal.phase import atomic_phase
from minting.models import BatchSource, MintBatch, MintInfo, MintResult, MintSelection, MintSlice
from readings import queries

log = structlog.get_logger(__name__)

ROWS_A_STATEMENT = 2_000
"""Rows that one INSERT carries: large enough to be fast, small enough to stay in memory."""


@dataclass(frozen=True, slots=True)
class NewResult:
    """A reading that is about to be minted: to whom, how much."""

    reading_id: UUID
    user_id: str
    wallet_address: str
    kwh_amount: Decimal
    base_units: int
    retry_number: int = 0
    """Automatic retries before this one."""


@atomic_phase
def open_batch(
    slices: Sequence[Sequence[NewResult]],
    *,
    source: BatchSource,
    mint: MintInfo,
    created_by: Any = None,
    selection: MintSelection | None = None,
    retry_of: MintBatch | None = None,
    estimate: Cost | None = None,
    excluded: Sequence[dict[str, str]] = (),
) -> MintBatch:
    """Inserts a batch, its slices and its results, and takes the readings.

    The caller holds the locks of the readings (``queries.lock_for_minting``).

    Raises:
        IntegrityError: A reading has a live result already (I1); nothing is kept.
    """
    batch = MintBatch.objects.create(
        source=source,
        created_by=created_by,
        selection=selection,
        retry_of=retry_of,
        genesis_hash=mint.genesis_hash,
        mint_address=mint.address,
        total_readings=sum(len(rows) for rows in slices),
        fee_estimate_lamports=estimate.fee if estimate else None,
        rent_estimate_lamports=estimate.rent if estimate else None,
        excluded=list(excluded),
    )
    new_slices = MintSlice.objects.bulk_create(
        (MintSlice(batch=batch, number=number) for number in range(len(slices))),
        batch_size=ROWS_A_STATEMENT,
    )
    for new_slice, rows in zip(new_slices, slices, strict=True):
        _insert_results(batch, new_slice, rows)
    log.info(
        "batch_opened",
        batch_id=str(batch.id),
        source=source.value,
        readings=batch.total_readings,
        slices=len(slices),
        excluded=len(excluded),
    )
    return batch


def _insert_results(batch: MintBatch, slice_: MintSlice, rows: Sequence[NewResult]) -> None:
    taken = reading_status(ResultStatus.PENDING, permanent=False)
    for start in range(0, len(rows), ROWS_A_STATEMENT):
        results = [
            MintResult(
                id=uuid7(),
                batch=batch,
                slice=slice_,
                reading_id=row.reading_id,
                user_id=row.user_id,
                wallet_address=row.wallet_address,
                kwh_amount=row.kwh_amount,
                base_units=row.base_units,
                retry_number=row.retry_number,
            )
            for row in rows[start : start + ROWS_A_STATEMENT]
        ]
        MintResult.objects.bulk_create(results)
        queries.set_status((result.reading_id, taken, "", result.id) for result in results)
