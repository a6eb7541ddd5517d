"""Demo data: the physics, and the command."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from io import StringIO
from itertools import pairwise

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from readings.demo import OLDEST, QUARTER, day_of, household, irradiance, surpluses
from readings.management.commands.seed_demo import MAINNET_GENESIS_HASH
from readings.models import Meter, MeterReading, Owner, Wallet

NEW_YEAR = date(2026, 1, 1)


@pytest.mark.parametrize("number", [1, 2])
def test_a_year_in_bangkok(number):
    home = replace(household(1, number), kwp=5.0, appetite=1.0)
    year = [
        quarter for day in range(365) for quarter in day_of(home, NEW_YEAR + timedelta(days=day))
    ]
    assert 1_450 < sum(quarter.generated for quarter in year) / 5 < 1_630
    assert 0.36 < sum(quarter.surplus > 0 for quarter in year) / len(year) < 0.42
    assert 10 < sum(quarter.consumed for quarter in year) / 365 < 25


def test_the_sun_shines_by_day():
    noon, midnight = day_of(household(1, 1), NEW_YEAR)[48], day_of(household(1, 1), NEW_YEAR)[0]
    assert 0.7 < irradiance(noon.start) < 1.05
    assert irradiance(midnight.start) == 0
    assert midnight.generated == midnight.surplus == 0
    assert midnight.consumed > 0


def test_quarter_hours_follow_one_another_to_the_wh():
    day = day_of(household(1, 1), NEW_YEAR)
    assert len(day) == 96
    assert all(left.end == right.start for left, right in pairwise(day))
    assert all(quarter.generated % Decimal("0.001") == 0 for quarter in day)
    assert all(quarter.start.minute % 15 == 0 for quarter in day)


def test_a_seed_is_a_world():
    assert day_of(household(1, 1), NEW_YEAR) == day_of(household(1, 1), NEW_YEAR)
    assert day_of(household(1, 1), NEW_YEAR) != day_of(household(2, 1), NEW_YEAR)
    assert day_of(household(1, 1), NEW_YEAR) != day_of(household(1, 2), NEW_YEAR)
    assert household(1, 1) == household(1, 1)


def test_surpluses_come_newest_first_from_the_last_four_days():
    now = timezone.now()
    quarters = list(surpluses(household(1, 1), now=now))
    assert len(quarters) > 80
    ends = [quarter.end for quarter in quarters]
    assert ends == sorted(ends, reverse=True)
    assert now - OLDEST <= ends[-1] < ends[0] <= now
    assert all(quarter.surplus > 0 for quarter in quarters)


def seed(*options):
    answer, progress = StringIO(), StringIO()
    call_command("seed_demo", *options, stdout=answer, stderr=progress)
    assert progress.getvalue()
    assert answer.getvalue().count("\n") == 1
    return answer.getvalue()


@pytest.mark.django_db
def test_seeding_as_the_contract_says():
    assert "200 pending" in seed()
    assert Owner.objects.count() == Meter.objects.count() == 50
    assert Wallet.objects.current().values("address").distinct().count() == 50
    readings = MeterReading.objects.all()
    assert readings.mintable().count() == readings.count() == 200
    assert {meter.readings.count() for meter in Meter.objects.all()} == {4}
    for reading in readings:
        assert reading.period_end - reading.period_start == QUARTER
        assert reading.kwh_amount > 0
        assert reading.kwh_amount % Decimal("0.001") == 0
        assert timezone.now() - reading.period_end <= OLDEST
        assert reading.source == "demo"


@pytest.mark.django_db
def test_the_same_seed_again_brings_more_of_the_same_owners():
    seed("--users=2", "--seed=7")
    owners = set(Owner.objects.all())
    first = set(MeterReading.objects.all())
    assert "8 pending" in seed("--users=2", "--seed=7")
    assert set(Owner.objects.all()) == owners
    assert first < set(MeterReading.objects.all())
    assert MeterReading.objects.mintable().count() == 16
    seed("--users=2", "--seed=8")
    assert Owner.objects.count() == 4


@pytest.mark.django_db
def test_four_days_hold_only_so_much():
    answer = seed("--users=1", "--readings-per-user=1000")
    (number,) = re.findall(r"(\d+) pending", answer)
    assert int(number) == MeterReading.objects.count() < 300
    assert "0 readings sent (none)" in seed("--users=1")


@pytest.mark.django_db
def test_messy_plants_what_reality_has():
    answer = seed("--messy", "--users=3")
    for planted in ("1 conflict", "1 duplicate", "1 invalid", "2 held", "2 not_minted"):
        assert planted in answer
    assert "12 pending" in answer
    held = MeterReading.objects.held().order_by("code").values_list("code", flat=True)
    assert list(held) == ["no_wallet", "reading_too_old"]
    seed("--messy", "--users=3")


@pytest.mark.django_db
def test_mainnet_is_refused(settings):
    settings.SOLANA_GENESIS_HASH = MAINNET_GENESIS_HASH
    with pytest.raises(CommandError, match="mainnet"):
        call_command("seed_demo")
    assert not Owner.objects.exists()


@pytest.mark.parametrize("option", ["--users=0", "--readings-per-user=-1", "--users=many"])
def test_numbers_are_positive(option):
    with pytest.raises(CommandError):
        call_command("seed_demo", option)
