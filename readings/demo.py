"""Readings that look real, from the standard library alone. Pure, and the same for a seed.

A quarter hour's surplus is what the panels yield less what the household uses. The yield is
clear-sky irradiance (Haurwitz) times kWp, performance and a cloud factor that wanders; the use is
a base load with a morning and an evening peak, noise, and appliances that come and go. The physics
is done in floats, and rounded to whole Wh, as meters do, before it is called energy.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from itertools import count
from random import Random

QUARTER = timedelta(minutes=15)
OLDEST = timedelta(days=4)
"""How far back demo readings go: well within the default age limit."""

BANGKOK = timezone(timedelta(hours=7))
LATITUDE, LONGITUDE = math.radians(13.75), 100.5
MERIDIAN = 105
"""Degrees east where Bangkok's clock is solar time."""

PERFORMANCE = 0.82
"""What remains of the panels' nominal yield after heat, dirt, cables and inverter."""

GIVEN_NAMES = (
    "Somchai", "Malee", "Anong", "Niran", "Kanya", "Prasert", "Siriporn", "Wichai", "Ploy",
    "Thanawat", "Nattaya", "Chai", "Suda", "Arthit", "Busaba", "James", "Emily", "Daniel",
    "Olivia", "Thomas", "Charlotte", "Henry",
)  # fmt: skip
FAMILY_NAMES = (
    "Srisuk", "Chaiyaphon", "Wongsakul", "Rattanakul", "Boonmee", "Saetang", "Phrommin",
    "Kittisak", "Thongchai", "Suwannarat", "Jaidee", "Intharaprasit", "Walker", "Bennett",
    "Hughes", "Morgan", "Fisher", "Clarke",
)  # fmt: skip
DISTRICTS = (
    "Bang Kapi", "Bang Na", "Bangkok Noi", "Chatuchak", "Don Mueang", "Huai Khwang", "Lat Krabang",
    "Lat Phrao", "Phra Khanong", "Prawet", "Sai Mai", "Suan Luang", "Thon Buri", "Yan Nawa",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Household:
    """An owner with panels on the roof and a smart meter."""

    seed: int
    number: int
    name: str
    district: str
    kwp: float
    appetite: float
    """How much it uses, as a multiple of the usual household."""

    @property
    def user_id(self) -> str:
        """The platform's name for the owner."""
        return f"demo-{self.seed}-{self.number:04d}"

    @property
    def serial(self) -> str:
        """Of its meter."""
        return f"DEMO-{self.seed}-{self.number:04d}"

    @property
    def wallet_phrase(self) -> bytes:
        """What the demo derives the owner's keypair from."""
        return f"gridtoken demo wallet {self.seed} {self.number}".encode()


@dataclass(frozen=True, slots=True)
class Quarter:
    """What happened at one household in one quarter hour, in kWh to the Wh."""

    start: datetime
    generated: Decimal
    consumed: Decimal

    @property
    def end(self) -> datetime:
        """Exclusive."""
        return self.start + QUARTER

    @property
    def surplus(self) -> Decimal:
        """What was exported; never negative, for import has a register of its own."""
        return max(self.generated - self.consumed, Decimal(0))


def household(seed: int, number: int) -> Household:
    """The same household for the same seed and number, always."""
    rng = _random(f"household/{seed}/{number}")
    return Household(
        seed=seed,
        number=number,
        name=f"{rng.choice(GIVEN_NAMES)} {rng.choice(FAMILY_NAMES)}",
        district=f"{rng.choice(DISTRICTS)}, Bangkok",
        kwp=rng.randrange(6, 17) / 2,
        appetite=rng.uniform(0.7, 1.4),
    )


def day_of(home: Household, day: date) -> list[Quarter]:
    """All 96 quarter hours of a day in Bangkok, in order."""
    rng = _random(f"day/{home.seed}/{home.number}/{day.isoformat()}")
    midnight = datetime.combine(day, time(), BANGKOK)
    clouds, loads = _clouds(rng), _loads(rng)
    quarters = []
    for index in range(96):
        start = midnight + index * QUARTER
        sunshine = irradiance(start + QUARTER / 2) * next(clouds)
        quarters.append(
            Quarter(
                start=start.astimezone(UTC),
                generated=_energy(sunshine * home.kwp * PERFORMANCE),
                consumed=_energy(next(loads) * home.appetite),
            )
        )
    return quarters


def surpluses(home: Household, *, now: datetime) -> Iterator[Quarter]:
    """The quarter hours that exported, newest first, back from now for ``OLDEST``."""
    today = now.astimezone(BANGKOK).date()
    for back in count():
        for quarter in reversed(day_of(home, today - timedelta(days=back))):
            if quarter.end < now - OLDEST:
                return
            if quarter.end <= now and quarter.surplus > 0:
                yield quarter


def irradiance(at: datetime) -> float:
    """Clear-sky irradiance on the level in Bangkok, kW/m² (Haurwitz 1945)."""
    sine = _sine_of_elevation(at.astimezone(BANGKOK))
    return 1.098 * sine * math.exp(-0.057 / sine) if sine > 0 else 0.0


def _random(name: str) -> Random:
    return Random(name)  # noqa: S311 - the same weather for the same name, no secret


def _sine_of_elevation(at: datetime) -> float:
    season = 2 * math.pi * (at.timetuple().tm_yday - 81) / 365
    equation_of_time = (
        9.87 * math.sin(2 * season) - 7.53 * math.cos(season) - 1.5 * math.sin(season)
    )
    declination = math.radians(23.45) * math.sin(season)
    minutes = at.hour * 60 + at.minute + 4 * (LONGITUDE - MERIDIAN) + equation_of_time
    hour_angle = math.radians(minutes / 4 - 180)
    return math.sin(LATITUDE) * math.sin(declination) + math.cos(LATITUDE) * math.cos(
        declination
    ) * math.cos(hour_angle)


def _clouds(rng: Random) -> Iterator[float]:
    """What clouds leave of the sunshine: wanders around how clear the day is."""
    clearness = 0.2 + 0.8 * rng.betavariate(4, 1.9)
    factor = clearness
    while True:
        yield factor
        wander = 0.2 * (clearness - factor) + rng.gauss(0, 0.09)
        factor = min(1.0, max(0.06, factor + wander))


def _loads(rng: Random) -> Iterator[float]:
    """What the usual household draws from midnight on, quarter by quarter, in kW."""
    appliance, left = 0.0, 0
    for hour in (index / 4 for index in count()):
        morning = 0.35 * math.exp(-(((hour - 7) / 1.3) ** 2))
        evening = 1.1 * math.exp(-(((hour - 20) / 2.4) ** 2))
        if left:
            left -= 1
        elif rng.random() < 0.05:
            appliance, left = rng.uniform(0.8, 2.4), rng.randrange(1, 4)
        else:
            appliance = 0.0
        yield (0.3 + morning + evening) * max(0.3, rng.gauss(1, 0.2)) + appliance


def _energy(kilowatts: float) -> Decimal:
    """A quarter hour at this power, in kWh, to the Wh."""
    return Decimal(round(kilowatts * 250)).scaleb(-3)
