"""Unsigned results as what they were planned to be: parts that travel together."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import timedelta
from itertools import groupby
from uuid import UUID

from django.db.models.functions import Now

from minting.engine.types import MintBatchData
from minting.engine.wallets import TokenAccountState
from minting.models import MintBatch, MintResult
from minting.service.plan.planning import Part

PLAN_BELIEVED = timedelta(minutes=5)
"""For so long a wallet that was judged with its batch's plan counts as judged. Its token account
shows in every simulation as the mint would leave it (``faults.learn``)."""


def is_plan_believed(batch_id: UUID) -> bool:
    """Whether a batch's plan is young enough for what it found."""
    young = MintBatch.objects.filter(id=batch_id, created_at__gte=Now() - PLAN_BELIEVED)
    return young.exists()


def parts_of(
    results: Iterable[MintResult], *, believed: bool, doubted: Collection[str] = ()
) -> list[Part]:
    """The results by the transaction that their batch's plan put them into.

    Args:
        results: Of one slice, those of one planned transaction together.
        believed: Whether the plan is young enough for what it found.
        doubted: Wallets whose accounts were found to be something else since.
    """
    return [
        _part(list(together), doubted if believed and planned is not None else None)
        for planned, together in groupby(results, key=lambda row: row.planned)
    ]


def _part(rows: Sequence[MintResult], doubted: Collection[str] | None) -> Part:
    here = {row.wallet_address for row in rows if not row.rent_elsewhere}
    return Part(
        [_payment(row) for row in rows],
        {}
        if doubted is None
        else {
            row.wallet_address: _as_planned(row)
            for row in rows
            if not row.alone and row.wallet_address not in doubted
        },
        frozenset(row.wallet_address for row in rows) - here,
    )


def _as_planned(row: MintResult) -> TokenAccountState:
    return TokenAccountState(
        create=row.account_held is not None, held_lamports=row.account_held or 0
    )


def _payment(row: MintResult) -> MintBatchData:
    return MintBatchData(
        reading_id=row.reading_id,
        user_id=row.user_id,
        wallet_address=row.wallet_address,
        kwh_amount=row.kwh_amount,
        tokens_to_mint=int(row.base_units),
    )
