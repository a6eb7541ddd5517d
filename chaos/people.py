"""Owners with wallets and meters, and what the meters measured: straight into the tables."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from hashlib import sha256
from random import Random
from uuid import UUID

from django.utils import timezone
from solders.keypair import Keypair

from readings.models import Meter, MeterAssignment, MeterReading, Owner, Wallet
from readings.rules import PeriodKind, ReadingSource, ReadingStatus, Verification

QUARTER = timedelta(minutes=15)
LONG_AGO = datetime(2024, 1, 1, tzinfo=UTC)
OWNERS = 300


def seed_readings(number: int, *, seed: int) -> list[UUID]:
    """Pending readings of new owners.

    Returns:
        Their ids, an owner's far apart, as they are to be minted.
    """
    random = Random(seed)
    owners = Owner.objects.bulk_create(
        Owner(user_id=f"chaos-{n}", name=f"Owner {n}") for n in range(min(OWNERS, number))
    )
    Wallet.objects.bulk_create(
        Wallet(owner=owner, address=_address(seed, owner.user_id)) for owner in owners
    )
    meters = Meter.objects.bulk_create(Meter(serial=f"CHAOS-{owner.user_id}") for owner in owners)
    MeterAssignment.objects.bulk_create(
        MeterAssignment(meter=meter, owner=owner, starts_at=LONG_AGO)
        for meter, owner in zip(meters, owners, strict=True)
    )
    rows = list(_readings(number, list(zip(owners, meters, strict=True)), random))
    MeterReading.objects.bulk_create(rows, batch_size=2_000)
    return [row.id for row in rows]


def _readings(
    number: int, pairs: Sequence[tuple[Owner, Meter]], random: Random
) -> list[MeterReading]:
    newest = timezone.now().replace(minute=0, second=0, microsecond=0)
    rows = []
    for n in range(number):
        owner, meter = pairs[n % len(pairs)]
        end = newest - n // len(pairs) * QUARTER
        rows.append(
            MeterReading(
                owner=owner,
                meter=meter,
                kwh_amount=Decimal(random.randint(1, 5_000)).scaleb(-3),
                period_start=end - QUARTER,
                period_end=end,
                period_kind=PeriodKind.INTERVAL.value,
                status=ReadingStatus.PENDING.value,
                verification=Verification.VERIFIED.value,
                source=ReadingSource.API.value,
            )
        )
    return rows


def _address(seed: int, user_id: str) -> str:
    return str(Keypair.from_seed(sha256(f"{seed} {user_id}".encode()).digest()).pubkey())
