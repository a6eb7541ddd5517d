"""Many owners and readings at once, inserted in bulk: factories would take minutes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count

from readings.models import Meter, MeterReading, Owner, Wallet
from tests.factories.readings import QUARTER, MeterReadingFactory, address, last_quarter

_numbers = count()
_quarters = count(1)


@dataclass(frozen=True, slots=True)
class Villager:
    """An owner with a wallet and a meter."""

    owner: Owner
    wallet: Wallet
    meter: Meter


def village(size: int) -> list[Villager]:
    """So many owners whom nobody has met before."""
    names = [f"villager-{next(_numbers)}" for _ in range(size)]
    owners = Owner.objects.bulk_create(Owner(user_id=name, name=name) for name in names)
    wallets = Wallet.objects.bulk_create(
        Wallet(owner=owner, address=address(owner.user_id)) for owner in owners
    )
    meters = Meter.objects.bulk_create(Meter(serial=f"METER-{name}") for name in names)
    return [Villager(*each) for each in zip(owners, wallets, meters, strict=True)]


def harvest(villagers: Sequence[Villager], *, each: int = 1) -> list[MeterReading]:
    """So many pending readings of each, of quarters that nobody has read yet; 0.25 kWh each."""
    return MeterReading.objects.bulk_create(
        [reading_of(one) for _ in range(each) for one in villagers], batch_size=2_000
    )


def reading_of(villager: Villager) -> MeterReading:
    """The next, not saved yet."""
    end = last_quarter() - next(_quarters) * QUARTER
    reading: MeterReading = MeterReadingFactory.build(
        owner=villager.owner, meter=villager.meter, period_end=end, period_start=end - QUARTER
    )
    return reading
