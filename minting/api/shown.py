"""Readings with what became of them, in one query however many they are."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db.models import OuterRef, QuerySet, Subquery, Value
from django.db.models.functions import Coalesce, NullIf

from minting.models import MintResult
from readings.errors import UnknownReading
from readings.models import MeterReading, Wallet


def shown_readings() -> QuerySet[MeterReading]:
    """All readings, with ``tx_signature`` and ``wallet_address`` as the API tells them.

    The last result's where there is one: a wallet that changed since does not change what was
    paid. Else the owner's wallet of now.
    """
    last_result = MintResult.objects.filter(id=OuterRef("last_result_id"))
    paid_wallet = last_result.values(filled=NullIf("wallet_address", Value("")))
    return (
        MeterReading.objects.select_related("meter", "owner")
        .with_wallet_address()
        .annotate(
            tx_signature=Subquery(last_result.values("tx_signature")),
            wallet_address=Coalesce(Subquery(paid_wallet), "owner_wallet_address"),
        )
    )


def shown_reading(reading_id: UUID) -> MeterReading:
    """One of them.

    Raises:
        UnknownReading: There is none.
    """
    reading = shown_readings().filter(id=reading_id).first()
    if reading is None:
        raise UnknownReading(reading_id)
    return reading


def ids_with_wallet(address: str) -> QuerySet[MeterReading, Any]:
    """Ids of the readings that are shown with this wallet, by indexes on both ways."""
    results = MintResult.objects.filter(wallet_address=address)
    paid = MeterReading.objects.filter(
        id__in=results.values("reading_id"), last_result_id__in=results.values("id")
    )
    owners = Wallet.objects.current().filter(address=address).values("owner")
    unpaid = MeterReading.objects.filter(owner__in=owners, last_result_id=None)
    return paid.values("id").union(unpaid.values("id"), all=True)
