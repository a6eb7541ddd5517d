"""What the poller made, and what it left."""

from __future__ import annotations

from django.db.models import QuerySet
from solders.account import Account
from solders.pubkey import Pubkey

from minting.models import BatchSource, MintBatch
from readings.models import MeterReading


def batches() -> QuerySet[MintBatch]:
    return MintBatch.objects.filter(source=BatchSource.POLL).order_by("id")


def pending() -> int:
    return MeterReading.objects.filter(status="pending").count()


def lamports(amount: int) -> Account:
    return Account(amount, b"", Pubkey.default(), executable=False, rent_epoch=0)
