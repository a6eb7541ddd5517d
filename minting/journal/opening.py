"""A batch begins: readings taken, results pending, slices to be claimed.

However many they are, the results stream into their table (``COPY``), a part at a time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import islice
from typing import Any
from uuid import UUID

import structlog
from django.db import connection
from uuid_utils.compat import uuid7

from gridtoken.following import current_request
from minting.engine.amounts import kwh_total
from minting.engine.states import ResultStatus, reading_status
from minting.engine.types import Cost
from minting.journal.phase import atomic_phase
from minting.models import BatchSource, MintBatch, MintInfo, MintSelection, MintSlice
from readings import queries

log = structlog.get_logger(__name__)

ROWS_A_PART = 5_000
"""Results that one ``COPY`` carries: large enough to be fast, small enough to stay in memory."""

_COPY = """
COPY minting_mintresult (
    id, batch_id, slice_id, reading_id, user_id, wallet_address, kwh_amount, base_units, status,
    error, error_code, permanent, tx_signature, attempts, alone, retry_number, planned,
    rent_elsewhere, account_held
) FROM STDIN
"""


@dataclass(frozen=True, slots=True)
class NewResult:
    """A reading that is about to be minted: to whom, how much."""

    reading_id: UUID
    user_id: str
    wallet_address: str
    kwh_amount: Decimal
    base_units: int
    slice_number: int
    """Which of the batch's slices holds it; numbers may have gaps."""
    planned: int | None = None
    """Number of its transaction in the batch's plan."""
    rent_elsewhere: bool = False
    """Whether another transaction of the plan counts the rent of its account."""
    account_held: int | None = None
    """Lamports at the address of its token account, where the plan found that missing."""
    retry_number: int = 0
    """Automatic retries before this one."""


@dataclass(slots=True)
class _Opening:
    """A batch whose results are being written."""

    batch: MintBatch
    slices: dict[int, MintSlice] = field(default_factory=dict)
    """By the number that results name; rows of their own once all are known."""

    def slice_of(self, number: int) -> MintSlice:
        return self.slices.setdefault(number, MintSlice(batch=self.batch, number=number))


@atomic_phase
def open_batch(
    results: Iterable[NewResult],
    *,
    source: BatchSource,
    mint: MintInfo,
    created_by: Any = None,
    selection: MintSelection | None = None,
    retry_of: MintBatch | None = None,
    estimate: Cost | None = None,
) -> MintBatch:
    """Inserts a batch, its slices and its results, and takes the readings.

    The caller holds the locks of the readings (``queries.lock_for_minting``).

    Args:
        results: Any number, each reading once; consumed a part at a time.
        source: Which door they came through.
        mint: What is minted.
        created_by: The user who asked.
        selection: What was selected, if it was.
        retry_of: The batch whose failures these are.
        estimate: What the plan costs.

    Raises:
        IntegrityError: A reading has a live result already (I1); nothing is kept.
    """
    opening = _Opening(
        MintBatch.objects.create(
            source=source,
            created_by=created_by,
            selection=selection,
            retry_of=retry_of,
            request_id=current_request() or (retry_of.request_id if retry_of else ""),
            genesis_hash=mint.genesis_hash,
            mint_address=mint.address,
            total_readings=0,
            total_kwh=Decimal(0),
            fee_estimate_lamports=estimate.fee if estimate else None,
            rent_estimate_lamports=estimate.rent if estimate else None,
        )
    )
    batch = opening.batch
    for part in _parts(results):
        _copy(opening, part)
        batch.total_readings += len(part)
        batch.total_kwh = kwh_total([batch.total_kwh, *(row.kwh_amount for row in part)])
    # Their rows come last: the references of results are checked at the commit.
    MintSlice.objects.bulk_create(_renumbered(opening.slices.values()), batch_size=ROWS_A_PART)
    batch.save(update_fields=["total_readings", "total_kwh"])
    log.info(
        "batch_opened",
        batch_id=str(batch.id),
        source=source.value,
        readings=batch.total_readings,
        slices=len(opening.slices),
    )
    return batch


@atomic_phase
def record_excluded(batch: MintBatch, excluded: Sequence[dict[str, str]]) -> None:
    """Keeps what was left out of a batch that was just opened, and why."""
    batch.excluded = list(excluded)
    batch.save(update_fields=["excluded"])


def _parts(results: Iterable[NewResult]) -> Iterator[list[NewResult]]:
    rest = iter(results)
    while part := list(islice(rest, ROWS_A_PART)):
        yield part


def _renumbered(slices: Iterable[MintSlice]) -> Iterator[MintSlice]:
    """Without the gaps of planned slices of which nothing is left."""
    for number, each in enumerate(sorted(slices, key=lambda each: each.number)):
        each.number = number
        yield each


def _copy(opening: _Opening, part: Sequence[NewResult]) -> None:
    ids = [uuid7() for _ in part]
    with (
        connection.cursor() as cursor,
        connection.wrap_database_errors,
        cursor.copy(_COPY) as copy,
    ):
        for id_, row in zip(ids, part, strict=True):
            copy.write_row(
                (
                    id_,
                    opening.batch.id,
                    opening.slice_of(row.slice_number).id,
                    row.reading_id,
                    row.user_id,
                    row.wallet_address,
                    row.kwh_amount,
                    row.base_units,
                    ResultStatus.PENDING.value,
                    "",
                    "",
                    False,
                    "",
                    0,
                    False,
                    row.retry_number,
                    row.planned,
                    row.rent_elsewhere,
                    row.account_held,
                )
            )
    taken = reading_status(ResultStatus.PENDING, permanent=False)
    queries.set_status((row.reading_id, taken, "", id_) for id_, row in zip(ids, part, strict=True))
