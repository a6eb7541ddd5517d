"""Readings by what somebody typed; each way is answered by an index."""

from __future__ import annotations

from functools import reduce
from operator import or_
from typing import Any

from django.db.models import Func, Q, QuerySet, UUIDField

from minting.models import MintResult, MintTransaction
from readings.admin.lists import one_of
from readings.admin.search import Kind, Sought
from readings.models import Meter, MeterReading, Owner, Wallet


def find(readings: QuerySet[MeterReading], named: Sought) -> QuerySet[MeterReading]:
    """The readings that a text names, or that something names which it begins."""
    match named.kind:
        case Kind.ID:
            return readings.filter(pk=named.id)
        case Kind.SIGNATURE:
            exactly = MintTransaction.objects.filter(signature=named.text)
            return readings.filter(pk__in=_paid_by(exactly))
        case Kind.WALLET:
            return readings.filter(pk__in=_of_wallet(named.text))
        case Kind.NAME:
            return _named(readings, named)


def _paid_by(transactions: QuerySet[MintTransaction]) -> QuerySet[Any]:
    """Ids of the readings that transactions' bytes pay, released from them since or not."""
    paid = Func("reading_ids", function="unnest", output_field=UUIDField())
    return transactions.order_by().values_list(paid, flat=True)


def _of_wallet(address: str) -> QuerySet[Any]:
    """Ids of readings paid at an address, and of those whose owner is or was paid there."""
    owners = Wallet.objects.filter(address=address).values("owner")
    return (
        MeterReading.objects.filter(owner__in=owners)
        .values("pk")
        .union(MintResult.objects.filter(wallet_address=address).values("reading"))
    )


def _named(readings: QuerySet[MeterReading], named: Sought) -> QuerySet[MeterReading]:
    """By the beginning of whatever the text may begin, or by a whole external id.

    Only what leads somewhere is asked for: an OR over all ways would walk the whole table.
    """
    text = named.text
    ways = [
        *one_of("meter", Meter.objects.filter(serial__startswith=text)),
        *one_of("owner", Owner.objects.named(text)),
    ]
    if Kind.WALLET in named.begins:
        wallets = Wallet.objects.filter(address__startswith=text)
        ways += one_of("owner", Owner.objects.filter(pk__in=wallets.values("owner")))
    if Kind.ID in named.begins:
        first, last = named.ids
        if MeterReading.objects.filter(pk__range=(first, last)).exists():
            ways.append(Q(pk__range=(first, last)))
    if Kind.SIGNATURE in named.begins:
        begun = MintTransaction.objects.filter(signature__startswith=text)
        if begun.exists():
            found = [MeterReading.objects.filter(way).values("pk") for way in ways]
            return readings.filter(pk__in=_paid_by(begun).union(*found))
    return readings.filter(reduce(or_, ways) if ways else Q(external_id=text))
