"""Corrections: a new revision that replaces before minting and only reports after."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from uuid import uuid4

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from readings import intake
from readings.errors import InvalidReading, ReadingError, ReadingInFlight, UnknownReading
from readings.intake import Retelling, Submission
from readings.models import MeterReading
from readings.rules import PeriodKind, ReadingCode, ReadingSource
from tests.factories.readings import QUARTER, last_quarter

pytestmark = pytest.mark.django_db


def revisions(reading):
    same = MeterReading.objects.filter(meter=reading.meter, period_end=reading.period_end)
    return list(same.order_by("revision"))


def test_before_minting_a_correction_replaces(household, operator):
    old = household.reading(external_id="a-1", energy_generated=Decimal(1))
    correction = intake.correct(
        reading_id=old.id, kwh_amount="0.3", reason=" misread ", submitted_by=operator
    )
    assert correction.created
    first, second = revisions(old)
    assert (first.is_current, first.status, first.code) == (False, "not_minted", "superseded")
    assert first.kwh_amount == Decimal("0.25")
    assert second == correction.reading
    assert (second.revision, second.is_current, second.status) == (2, True, "pending")
    assert (second.kwh_amount, second.energy_generated) == (Decimal("0.3"), Decimal(1))
    assert (second.owner, second.external_id) == (household.owner, "a-1")
    assert (second.correction_reason, second.submitted_by) == ("misread", operator)
    assert second.correction_difference is None


@pytest.mark.parametrize("status", ["retrying", "failed"])
def test_what_failed_is_replaced_too(household, status):
    old = household.reading(status=status)
    assert intake.correct(reading_id=old.id, kwh_amount="0.3").reading.status == "pending"
    old.refresh_from_db()
    assert old.code == "superseded"


def test_after_minting_the_difference_is_recorded_and_never_minted(household):
    minted = household.reading(status="minted")
    second = intake.correct(reading_id=minted.id, kwh_amount="0.2").reading
    assert (second.status, second.code) == ("not_minted", "corrected_after_minting")
    assert second.correction_difference == Decimal("-0.05")
    minted.refresh_from_db()
    assert (minted.status, minted.is_current) == ("minted", False)

    third = intake.correct(reading_id=second.id, kwh_amount="0.3").reading
    assert third.correction_difference == Decimal("0.05"), "always against what was minted"
    assert [one.status for one in revisions(minted)] == ["minted", "not_minted", "not_minted"]
    assert MeterReading.objects.current().get() == third


@pytest.mark.parametrize("status", ["minting", "in_doubt"])
def test_in_flight_a_correction_is_refused(household, status):
    reading = household.reading(status=status)
    with pytest.raises(ReadingInFlight, match=str(reading.id)):
        intake.correct(reading_id=reading.id, kwh_amount="0.2")
    assert MeterReading.objects.count() == 1


def test_the_same_values_change_nothing(household):
    reading = household.reading()
    correction = intake.correct(reading_id=reading.id, kwh_amount="0.250")
    assert (correction.created, correction.reading) == (False, reading)
    assert MeterReading.objects.count() == 1


def test_a_minting_that_a_fork_took_back_is_replaced_by_telling_again(household):
    minted = household.reading(status="minted")
    second = intake.correct(reading_id=minted.id, kwh_amount="0.2").reading
    MeterReading.objects.filter(id=minted.id).update(status="failed")
    third = intake.correct(reading_id=second.id, kwh_amount="0.2")
    assert third.created
    assert (third.reading.status, third.reading.correction_difference) == ("pending", None)


def test_any_revision_names_the_reading(household):
    first = household.reading()
    intake.correct(reading_id=first.id, kwh_amount="0.3")
    third = intake.correct(reading_id=first.id, kwh_amount="0.4").reading
    assert third.revision == 3
    assert MeterReading.objects.current().get() == third


def test_a_repeat_of_the_original_still_gets_its_id(household):
    first = household.reading()
    intake.correct(reading_id=first.id, kwh_amount="0.3")
    again = Submission(
        meter_serial=household.meter.serial,
        kwh_amount="0.25",
        period_start=first.period_start,
        period_end=first.period_end,
    )
    submitted = intake.submit(again, source=ReadingSource.API)
    assert (submitted.created, submitted.reading.id) == (False, first.id)


def test_a_correction_to_nothing_is_consumption_and_back(household):
    reading = household.reading()
    zero = intake.correct(reading_id=reading.id, kwh_amount=0).reading
    assert (zero.status, zero.code) == ("not_minted", "consumption")
    assert intake.correct(reading_id=zero.id, kwh_amount=1).reading.status == "pending"


def test_a_correction_is_judged_anew(household, outsider, operator):
    large = intake.correct(reading_id=household.reading().id, kwh_amount=101).reading
    assert large.code == "reading_too_large"
    homeless = outsider.reading(status="held", code="no_wallet")
    assert intake.correct(reading_id=homeless.id, kwh_amount=1).reading.code == "no_wallet"
    intake.release([large.id], by=operator, reason="Checked on site")
    again = intake.correct(reading_id=large.id, kwh_amount=102).reading
    assert again.code == "reading_too_large", "a release was given for other values"


def test_a_period_told_in_time_is_not_late_because_it_is_corrected(household):
    end = last_quarter() - timedelta(days=30)
    timely = household.reading(period_end=end, submitted_at=end + QUARTER)
    late = household.reading(
        period_end=end - QUARTER,
        submitted_at=end + timedelta(days=8),
        status="held",
        code="reading_too_old",
    )
    assert intake.correct(reading_id=timely.id, kwh_amount=1).reading.status == "pending"
    assert intake.correct(reading_id=late.id, kwh_amount=1).reading.code == "reading_too_old"


def test_a_corrected_overlap_still_overlaps(household):
    first = household.reading()
    other = household.reading(
        period_start=first.period_start - QUARTER,
        period_end=first.period_end,
        status="held",
        code="overlapping_period",
    )
    assert intake.correct(reading_id=other.id, kwh_amount=1).reading.code == "overlapping_period"
    assert intake.correct(reading_id=first.id, kwh_amount=1).reading.code == ""


def test_timestamps_are_corrected_by_their_end(household):
    reading = household.reading(period_kind=PeriodKind.TIMESTAMP.value)
    household.reading(period_end=reading.period_end, kwh_amount=7)  # an interval beside it
    second = intake.correct(reading_id=reading.id, kwh_amount=1).reading
    assert (second.period_kind, second.revision) == ("timestamp", 2)
    assert MeterReading.objects.current().count() == 2


def test_what_cannot_be_corrected(household):
    with pytest.raises(UnknownReading):
        intake.correct(reading_id=uuid4(), kwh_amount=1)
    with pytest.raises(InvalidReading):
        intake.correct(reading_id=household.reading().id, kwh_amount="many")


def every_kind(household, outsider) -> list[Retelling]:
    """Corrections of all kinds of readings, some that cannot be, and two of the same reading."""
    at = last_quarter()

    def reading(whose=household, *, ago, **fields):
        return whose.reading(period_end=at - ago * QUARTER, **fields)

    held = {"status": "held"}
    plain, zero, flying = reading(ago=0), reading(ago=1), reading(ago=2, status="minting")
    minted, failed = reading(ago=3, status="minted"), reading(ago=4, status="failed")
    beside, stamp = reading(ago=6), reading(ago=8, period_kind=PeriodKind.TIMESTAMP.value)
    across = reading(
        ago=5, period_start=at - 7 * QUARTER, code=ReadingCode.OVERLAPPING_PERIOD, **held
    )
    told = [
        (across.id, "0"),  # stands in the way of others from now on
        (beside.id, "0.3"),
        (plain.id, "0.3"),
        (plain.id, "0.25"),
        (zero.id, 0),
        (flying.id, 1),
        (uuid4(), 1),
        (minted.id, "0.2"),
        (failed.id, Decimal("0.26")),
        (stamp.id, "500"),
        (stamp.id, "many"),
        (reading(outsider, ago=0, code=ReadingCode.NO_WALLET, **held).id, 1),
        (minted.id, "0.2"),
        (reading(ago=9).id, "0.250"),
    ]
    return [Retelling(*each) for each in told]


def outcomes_and_rows(correct) -> tuple[list, list]:
    """What a way to correct answers and leaves behind; it is taken back."""
    with transaction.atomic():
        answered = [
            type(each) if isinstance(each, ReadingError) else each.created for each in correct()
        ]
        names = ("meter", "owner", "period_end", "period_kind", "revision", "is_current", "status")
        values = ("code", "kwh_amount", "correction_difference", "correction_reason", "source")
        rows = sorted(map(str, MeterReading.objects.values_list(*names, *values)))
        connection.check_constraints()
        transaction.set_rollback(True)
    return answered, rows


def test_many_at_once_are_what_one_after_another_would_be(household, outsider):
    told = every_kind(household, outsider)

    def correct(*some):
        return intake.correct_many(some, reason="File x", source=ReadingSource.FILE)

    singly = outcomes_and_rows(lambda: [one for each in told for one in correct(each)])
    together = outcomes_and_rows(lambda: correct(*told))
    assert together == singly
    assert together[0] == [
        *[True] * 5,
        ReadingInFlight,
        UnknownReading,
        *[True] * 3,
        InvalidReading,
        True,
        False,  # as it was told just before
        False,
    ]


def test_many_take_as_many_queries_as_few(household, solar_farm):
    def queries(count: int) -> int:
        told = [
            Retelling(whose.reading(period_end=last_quarter() - (count + at) * QUARTER).id, "0.3")
            for at in range(count)
            for whose in (household, solar_farm)
        ]
        with CaptureQueriesContext(connection) as seen:
            done = intake.correct_many(told, reason="", source=ReadingSource.FILE)
        assert all(each.created for each in done)
        return len(seen)

    assert queries(100) == queries(1)
