"""What is held: released by a person, or let go when its cause is gone."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from uuid import uuid4

import pytest
from django.utils import timezone

from readings import intake
from readings.errors import ReasonRequired
from readings.models import MeterReading
from tests.factories.readings import WalletFactory

pytestmark = pytest.mark.django_db


def held(resident, code, **fields):
    return resident.reading(status="held", code=code, **fields)


def stands(reading):
    reading.refresh_from_db()
    return reading.status, reading.code


@pytest.mark.parametrize(
    ("code", "fields"),
    [
        ("overlapping_period", {}),
        ("reading_too_large", {"kwh_amount": Decimal(101)}),
        ("reading_too_old", {"submitted_at": timezone.now() + timedelta(days=30)}),
        ("unverified", {"verification": "unverified"}),
    ],
)
def test_a_release_is_kept_with_its_reason(household, operator, code, fields):
    reading = held(household, code, **fields)
    assert intake.rejudge(MeterReading.objects.held()) == 0
    (outcome,) = intake.release([reading.id], by=operator, reason=" Checked on site ")
    assert (outcome.released, outcome.code, outcome.reason) == (True, "", "")
    assert stands(reading) == ("pending", "")
    assert (reading.released_by, reading.release_reason) == (operator, "Checked on site")
    assert timezone.now() - reading.released_at < timedelta(minutes=1)
    assert intake.rejudge(MeterReading.objects.all()) == 0, "released is released"


def test_a_release_needs_a_reason(household, operator):
    reading = held(household, "unverified", verification="unverified")
    with pytest.raises(ReasonRequired):
        intake.release([reading.id], by=operator, reason=" ")
    assert stands(reading) == ("held", "unverified")


def test_what_cannot_be_released_is_told_one_by_one(household, outsider, operator):
    homeless = held(outsider, "no_wallet")
    pending, minted = household.reading(), household.reading(status="minted")
    old = household.reading(status="not_minted", code="superseded", is_current=False)
    unknown = uuid4()
    ids = [homeless.id, pending.id, minted.id, old.id, unknown]
    outcomes = intake.release([*ids, pending.id], by=operator, reason="All of them")
    assert {outcome.reading_id: outcome.code for outcome in outcomes} == {
        homeless.id: "no_wallet",
        pending.id: "not_held",
        minted.id: "not_held",
        old.id: "superseded",
        unknown: "unknown_reading",
    }
    assert len(outcomes) == 5
    assert not any(outcome.released for outcome in outcomes)
    assert all(outcome.reason for outcome in outcomes)
    homeless.refresh_from_db()
    assert homeless.released_at is None, "else a wallet would let it pass every other rule"


def test_released_without_wallet_waits_for_one(outsider, operator):
    reading = held(outsider, "reading_too_large", kwh_amount=Decimal(101))
    (outcome,) = intake.release([reading.id], by=operator, reason="Checked")
    assert (outcome.released, outcome.code) == (False, "no_wallet")
    WalletFactory(owner=outsider.owner)
    assert intake.rejudge(MeterReading.objects.held("no_wallet")) == 1
    assert stands(reading) == ("pending", "")


def test_raised_limits_let_go_and_nothing_else(household, settings):
    large = held(household, "reading_too_large", kwh_amount=Decimal(150))
    larger = held(household, "reading_too_large", kwh_amount=Decimal(250))
    old = household.reading(status="held", code="reading_too_old")
    MeterReading.objects.filter(id=old.id).update(submitted_at=old.period_end + timedelta(days=10))
    assert intake.rejudge_limits() == 0
    settings.TOKENIZATION_MAX_READING_KWH = Decimal(200)
    assert intake.rejudge_limits() == 1
    settings.TOKENIZATION_READING_MAX_AGE_DAYS = 11
    assert intake.rejudge_limits() == 1
    assert stands(large) == stands(old) == ("pending", "")
    assert stands(larger) == ("held", "reading_too_large")


def test_only_what_is_undecided_is_judged_again(household, settings):
    settings.TOKENIZATION_MAX_READING_KWH = Decimal("0.1")
    decided = [
        household.reading(status=status)
        for status in ("minting", "in_doubt", "retrying", "failed", "minted")
    ]
    pending = household.reading()
    assert intake.rejudge(MeterReading.objects.all()) == 1
    assert stands(pending) == ("held", "reading_too_large")
    assert [stands(reading)[0] for reading in decided] == [r.status for r in decided]


def test_many_are_walked_through_in_chunks(household, monkeypatch):
    monkeypatch.setattr("readings.intake.holding.CHUNK", 2)
    readings = [held(household, "no_wallet") for _ in range(5)]
    assert intake.rejudge(MeterReading.objects.held("no_wallet")) == 5
    assert {stands(reading) for reading in readings} == {("pending", "")}
