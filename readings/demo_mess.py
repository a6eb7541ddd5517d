"""What reality has besides: the readings that ``seed_demo --messy`` plants. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

from readings.candidate import Submission
from readings.demo import BANGKOK, Household, Quarter, day_of, surpluses

ONE_WH = Decimal("0.001")
LATE = timedelta(days=10)
GAP_EVERY = 3
"""One quarter hour in so many is never told."""


def with_gaps(quarters: Iterable[Quarter]) -> Iterator[Quarter]:
    """The same without every third."""
    return (quarter for at, quarter in enumerate(quarters, 1) if at % GAP_EVERY)


def mess(home: Household, homeless: Household, *, now: datetime) -> list[Submission]:
    """Repeats, late ones, zero and negative, an unknown meter, a meter without wallet.

    Args:
        home: Whose meter sends most of it, and has sent its newest reading.
        homeless: Registered without a wallet.
        now: The present.
    """
    midnight = now.astimezone(BANGKOK).date()
    noon = day_of(homeless, midnight - timedelta(days=1))[48]
    night = day_of(home, midnight - timedelta(days=1))[8]
    late = day_of(home, midnight - LATE)[48]
    newest = next(surpluses(home, now=now))
    sent = submission(home, newest, kwh=newest.surplus)
    return [
        sent,
        replace(sent, kwh_amount=newest.surplus + ONE_WH),
        submission(home, late, kwh=Decimal("0.731")),
        submission(home, night, kwh=Decimal(0)),
        submission(home, _after(night), kwh=-night.consumed),
        replace(sent, meter_serial=f"{home.serial}-UNKNOWN"),
        submission(homeless, noon, kwh=Decimal("0.412")),
    ]


def submission(home: Household, quarter: Quarter, *, kwh: Decimal) -> Submission:
    """A quarter hour as its meter sends it."""
    return Submission(
        meter_serial=home.serial,
        kwh_amount=kwh,
        period_start=quarter.start,
        period_end=quarter.end,
        energy_generated=quarter.generated,
        energy_consumed=quarter.consumed,
        external_id=f"{home.serial}-{quarter.end:%Y%m%dT%H%M}",
    )


def _after(quarter: Quarter) -> Quarter:
    return replace(quarter, start=quarter.end)
