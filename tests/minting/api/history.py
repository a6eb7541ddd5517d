"""Batches as they stand in the journal, made without a chain."""

from __future__ import annotations

from collections.abc import Sequence

from django.db import transaction

from minting import journal
from minting.journal import NewResult
from minting.models import BatchSource, MintBatch, MintInfo
from readings.models import MeterReading


def mint_info() -> MintInfo:
    """A mint that was seen once."""
    return MintInfo.objects.get_or_create(
        genesis_hash="test-cluster",
        address="So11111111111111111111111111111111111111112",
        defaults={
            "token_program": "TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA",
            "decimals": 9,
            "account_size": 165,
        },
    )[0]


@transaction.atomic
def queued_batch(readings: Sequence[MeterReading]) -> MintBatch:
    """A batch that waits for a worker."""
    return journal.open_batch(
        [
            NewResult(
                reading_id=reading.id,
                user_id=reading.owner.user_id if reading.owner else "",
                wallet_address=reading.owner.wallets.current().get().address
                if reading.owner
                else "",
                kwh_amount=reading.kwh_amount,
                base_units=int(reading.kwh_amount * 10**9),
                slice_number=0,
            )
            for reading in readings
        ],
        source=BatchSource.API,
        mint=mint_info(),
    )
