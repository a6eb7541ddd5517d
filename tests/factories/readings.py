"""Owners, wallets, meters and readings as sequences, and a cast with names.

Keypairs are derived from the sequence, so that a failing test names the same wallets again.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache
from hashlib import sha256

import factory
from django.utils import timezone
from solders.keypair import Keypair

from readings.models import Meter, MeterAssignment, MeterReading, Owner, Wallet
from readings.rules import PeriodKind, ReadingSource, ReadingStatus, Verification

QUARTER = timedelta(minutes=15)
LONG_AGO = datetime(2024, 1, 1, tzinfo=UTC)


def keypair(name: object) -> Keypair:
    """The same keypair for the same name."""
    return Keypair.from_seed(sha256(f"test wallet {name}".encode()).digest())


def address(name: object) -> str:
    """Its wallet."""
    return str(keypair(name).pubkey())


@cache
def last_quarter() -> datetime:
    """When the newest whole quarter hour ended, as the run began: no test is torn by the next."""
    now = timezone.now()
    return now.replace(minute=now.minute // 15 * 15, second=0, microsecond=0)


class OwnerFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = Owner

    user_id = factory.Sequence(lambda n: f"user-{n}")
    name = factory.Sequence(lambda n: f"Owner {n}")


class WalletFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = Wallet

    owner = factory.SubFactory(OwnerFactory)
    address = factory.Sequence(address)


class MeterFactory(factory.django.DjangoModelFactory):
    """A meter; ``owner=…`` assigns it from long ago on."""

    class Meta:
        model = Meter
        skip_postgeneration_save = True

    serial = factory.Sequence(lambda n: f"METER-{n}")

    @factory.post_generation
    def owner(self, create, extracted, **_):
        if create and extracted:
            MeterAssignmentFactory(meter=self, owner=extracted)


class MeterAssignmentFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = MeterAssignment

    meter = factory.SubFactory(MeterFactory)
    owner = factory.SubFactory(OwnerFactory)
    starts_at = LONG_AGO


class MeterReadingFactory(factory.django.DjangoModelFactory):
    """A pending quarter hour of an owner with wallet and meter; each ends before the last."""

    class Meta:
        model = MeterReading

    owner = factory.LazyFunction(lambda: WalletFactory().owner)
    meter = factory.LazyAttribute(lambda reading: MeterFactory(owner=reading.owner))
    kwh_amount = Decimal("0.250000000")
    period_end = factory.Sequence(lambda n: last_quarter() - n * QUARTER)
    period_start = factory.LazyAttribute(lambda reading: reading.period_end - QUARTER)
    period_kind = PeriodKind.INTERVAL.value
    status = ReadingStatus.PENDING.value
    verification = Verification.VERIFIED.value
    source = ReadingSource.API.value
    submitted_at = factory.LazyAttribute(lambda reading: reading.period_end + QUARTER)


@dataclass(frozen=True, slots=True)
class Resident:
    """Somebody of the cast."""

    owner: Owner
    wallet: Wallet | None
    meter: Meter

    def reading(self, **fields) -> MeterReading:
        """A pending reading of this meter."""
        return MeterReadingFactory(owner=self.owner, meter=self.meter, **fields)


def household() -> Resident:
    """Anong, with panels on the roof and a wallet."""
    return _resident("anong", "Anong Srisuk", "HOUSE-1")


def solar_farm() -> Resident:
    """A farm with a larger meter."""
    return _resident("farm", "Lat Krabang Solar Farm", "FARM-1")


def outsider() -> Resident:
    """Niran, whose meter is registered, and who never registered a wallet."""
    owner = OwnerFactory(user_id="niran", name="Niran Boonmee")
    return Resident(owner, None, MeterFactory(serial="OUTSIDE-1", owner=owner))


def _resident(user_id: str, name: str, serial: str) -> Resident:
    owner = OwnerFactory(user_id=user_id, name=name)
    wallet = WalletFactory(owner=owner, address=address(user_id))
    return Resident(owner, wallet, MeterFactory(serial=serial, owner=owner))
