"""Owners with wallets and meters, and what they measured, by COPY: seeding is not measured."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from hashlib import sha256
from random import Random
from uuid import UUID

from django.db import connection
from django.utils import timezone
from solders.keypair import Keypair

from bench.figures import Measured
from readings.models import Meter, MeterAssignment, Owner, Wallet
from readings.rules import PeriodKind, ReadingSource, ReadingStatus, Verification

QUARTER = timedelta(minutes=15)
LONG_AGO = datetime(2024, 1, 1, tzinfo=UTC)
WATT_HOURS = (100, 5_000)
"""Least and most of a reading."""
BASE_UNITS_A_WH = 10**6
"""At a ratio of 1 token a kWh and 9 decimals."""


@dataclass(slots=True)
class Village:
    """Owners of one wallet and one meter each."""

    owners: Sequence[Owner]
    meters: Sequence[Meter]
    wallets: Sequence[str]
    random: Random
    quarters: int = 0
    """That were measured already, back from the newest."""

    def measure(self, each: int) -> list[Measured]:
        """Pending readings of ``each`` quarter hours, in the order in which meters would send them.

        Called again it measures earlier ones, of the same wallets.
        """
        newest = timezone.now().replace(minute=0, second=0, microsecond=0)
        found = []
        with connection.cursor() as cursor, cursor.copy(_COPY) as copy:
            for number in range(self.quarters, self.quarters + each):
                end = newest - number * QUARTER
                for owner, meter, wallet in zip(
                    self.owners, self.meters, self.wallets, strict=True
                ):
                    watt_hours = self.random.randint(*WATT_HOURS)
                    id_ = UUID(int=self.random.getrandbits(128), version=4)
                    copy.write_row(_row(id_, owner, meter, watt_hours, end))
                    found.append(Measured(id_, owner.user_id, wallet, watt_hours * BASE_UNITS_A_WH))
        self.quarters += each
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE readings_meterreading")
        return found


def settle(name: str, number: int, *, seed: int) -> Village:
    """A village of so many owners; its wallets follow from name and seed."""
    owners = Owner.objects.bulk_create(
        (Owner(user_id=f"{name}-{n}", name=f"Owner {n}") for n in range(number)), batch_size=5_000
    )
    wallets = [str(_keypair(f"{seed} {owner.user_id}").pubkey()) for owner in owners]
    Wallet.objects.bulk_create(
        (Wallet(owner=owner, address=at) for owner, at in zip(owners, wallets, strict=True)),
        batch_size=5_000,
    )
    meters = Meter.objects.bulk_create(
        (Meter(serial=f"BENCH-{owner.user_id}") for owner in owners), batch_size=5_000
    )
    MeterAssignment.objects.bulk_create(
        (
            MeterAssignment(meter=meter, owner=owner, starts_at=LONG_AGO)
            for meter, owner in zip(meters, owners, strict=True)
        ),
        batch_size=5_000,
    )
    return Village(owners, meters, wallets, Random(f"{seed} {name}"))


_COLUMNS = {
    "kwh_amount": None,
    "id": None,
    "owner_id": None,
    "meter_id": None,
    "period_start": None,
    "period_end": None,
    "period_kind": PeriodKind.INTERVAL.value,
    "revision": 1,
    "is_current": True,
    "correction_reason": "",
    "status": ReadingStatus.PENDING.value,
    "code": "",
    "verification": Verification.VERIFIED.value,
    "meter_signature": "",
    "external_id": "",
    "source": ReadingSource.API.value,
    "submitted_at": None,
    "release_reason": "",
}
_COPY = f"COPY readings_meterreading ({', '.join(_COLUMNS)}) FROM STDIN"


def _row(id_: UUID, owner: Owner, meter: Meter, watt_hours: int, end: datetime) -> Iterator[object]:
    row = {
        **_COLUMNS,
        "kwh_amount": Decimal(watt_hours).scaleb(-3),
        "id": id_,
        "owner_id": owner.id,
        "meter_id": meter.id,
        "period_start": end - QUARTER,
        "period_end": end,
        "submitted_at": end,
    }
    return iter(row.values())


def _keypair(name: str) -> Keypair:
    return Keypair.from_seed(sha256(name.encode()).digest())
