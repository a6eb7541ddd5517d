"""Stopping a batch: what is not signed is free again, what is signed goes its way."""

from __future__ import annotations

from uuid import UUID

from django.db import transaction

from minting import journal
from minting.models import MintBatch


@transaction.atomic
def cancel_batch(batch_id: UUID, *, by: str) -> int:
    """Cancels what is not signed yet; returns how many readings are free again.

    Raises:
        MintBatch.DoesNotExist: there is no such batch.
    """
    MintBatch.objects.get(id=batch_id)
    return journal.cancel_unsigned(batch_id, by=by)
