"""What comes in: one by one and by the thousand."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from uuid import UUID

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from readings import intake
from readings.errors import ConflictingReading, InvalidReading, UnknownMeter
from readings.intake import OutcomeStatus, Submission
from readings.models import MeterReading
from readings.rules import PeriodKind, ReadingSource, Verification
from tests.factories.readings import QUARTER, MeterAssignmentFactory, MeterFactory, last_quarter
from tests.tables import rows_read

pytestmark = pytest.mark.django_db

END = last_quarter()


def telling(meter, *, kwh="0.25", quarters_ago=0, **fields):
    end = END - quarters_ago * QUARTER
    return Submission(
        meter_serial=meter.serial,
        kwh_amount=kwh,
        **({"period_start": end - QUARTER, "period_end": end} | fields),
    )


def stamped(meter, end, **fields):
    return telling(meter, period_start=None, period_end=end, **fields)


def submit(submission, **fields):
    return intake.submit(submission, source=ReadingSource.API, **fields)


def submit_many(submissions, **fields):
    return intake.submit_many(submissions, source=ReadingSource.FILE, **fields)


def statuses(outcomes):
    return [outcome.status.value for outcome in outcomes]


def test_a_good_reading_is_pending(household, operator):
    submitted = submit(
        telling(
            household.meter,
            kwh=Decimal("0.1234567895"),
            energy_generated="0.5",
            energy_consumed="0.3",
            external_id="a-1",
            meter_signature="sig",
        ),
        submitted_by=operator,
    )
    assert submitted.created
    reading = MeterReading.objects.get()
    assert reading.id == submitted.reading.id
    assert (reading.status, reading.code, reading.reason) == ("pending", "", "")
    assert reading.kwh_amount == Decimal("0.123456790")
    assert reading.energy_generated == Decimal("0.5")
    assert reading.energy_consumed == Decimal("0.3")
    assert (reading.external_id, reading.meter_signature) == ("a-1", "sig")
    assert (reading.revision, reading.is_current, reading.source) == (1, True, "api")
    assert (reading.owner, reading.submitted_by) == (household.owner, operator)
    assert reading.id.version == 4


def test_times_and_numbers_may_come_as_text(household):
    reading = submit(
        telling(
            household.meter,
            period_start=(END - QUARTER).isoformat(),
            period_end=END.isoformat(),
        )
    ).reading
    assert (reading.period_start, reading.period_end) == (END - QUARTER, END)


def test_an_exact_repeat_gets_the_same_id(household):
    first = submit(telling(household.meter))
    again = submit(telling(household.meter, kwh=Decimal("0.250")))
    assert not again.created
    assert again.reading.id == first.reading.id
    assert MeterReading.objects.count() == 1


def test_other_values_for_the_same_period_conflict(household):
    first = submit(telling(household.meter)).reading
    with pytest.raises(ConflictingReading) as raised:
        submit(telling(household.meter, kwh="0.26"))
    assert raised.value.reading_id == first.id
    assert MeterReading.objects.count() == 1


@pytest.mark.parametrize(
    "fields",
    [
        {"kwh": "NaN"},
        {"kwh": 0.25},
        {"period_end": END - QUARTER - QUARTER},
        {"period_end": "soon"},
        {"period_end": timezone.now() + timedelta(hours=1)},
        {"energy_generated": "x"},
        {"external_id": "x" * 201},
        {"external_id": "nul\x00"},
        {"external_id": 7},
        {"meter_signature": "\ud800"},
        {"interval_seconds": 0},
        {"interval_seconds": True},
        {"interval_seconds": "900"},
        {"interval_seconds": Decimal("-1e999999")},
        {"interval_seconds": Decimal("1e-999999")},
        {"interval_seconds": Decimal("NaN")},
        {"meter_serial": "x" * 101},
    ],
)
def test_what_cannot_be_a_reading_is_not_stored(household, fields):
    submission = telling(
        household.meter, **{k: v for k, v in fields.items() if k != "meter_serial"}
    )
    if "meter_serial" in fields:
        submission = Submission(meter_serial=fields["meter_serial"], kwh_amount=1, period_end=END)
    with pytest.raises(InvalidReading):
        submit(submission)
    assert not MeterReading.objects.exists()


def test_an_unknown_meter_is_not_stored(household):
    with pytest.raises(UnknownMeter, match="NOBODY"):
        submit(Submission(meter_serial="NOBODY", kwh_amount=1, period_end=END))
    assert not MeterReading.objects.exists()


def test_zero_and_negative_are_stored_as_consumption(household):
    outcomes = submit_many(
        [telling(household.meter, kwh=0), telling(household.meter, kwh=-1, quarters_ago=1)]
    )
    assert statuses(outcomes) == ["created", "created"]
    assert [(o.reading.status, o.code) for o in outcomes] == [("not_minted", "consumption")] * 2
    assert outcomes[0].detail


def test_causes_of_holding(household, outsider, settings):
    settings.TOKENIZATION_MAX_READING_KWH = Decimal(1)
    days = timedelta(days=8)
    outcomes = submit_many(
        [
            telling(household.meter, kwh="1.000000001"),
            telling(household.meter, period_start=END - days - QUARTER, period_end=END - days),
            telling(household.meter, quarters_ago=2, verification=Verification.UNVERIFIED),
            telling(household.meter, quarters_ago=3, verification=Verification.LEGACY_UNVERIFIED),
            telling(outsider.meter),
            telling(household.meter, quarters_ago=5),
            telling(household.meter, period_start=END - 5 * QUARTER, period_end=END),
        ]
    )
    assert [o.code for o in outcomes] == [
        "reading_too_large",
        "reading_too_old",
        "unverified",
        "",
        "no_wallet",
        "",
        "overlapping_period",
    ]


def test_what_overlaps_is_held_and_stands_in_nobodys_way(household):
    submit(telling(household.meter))
    overlapping = telling(household.meter, period_start=END - 3 * QUARTER, period_end=END)
    assert submit(overlapping).reading.code == "overlapping_period"
    assert submit(telling(household.meter, quarters_ago=1)).reading.code == ""


def test_overlap_is_a_matter_of_one_meter(household, solar_farm):
    submit(telling(household.meter))
    other = telling(solar_farm.meter, period_start=END - 2 * QUARTER, period_end=END)
    assert submit(other).reading.code == ""


def test_a_timestamp_starts_at_the_previous_if_that_is_near(household):
    minutes = timedelta(minutes=1)
    first = submit(stamped(household.meter, END - 10 * minutes)).reading
    second = submit(stamped(household.meter, END)).reading
    third = submit(stamped(household.meter, END - 20 * minutes, interval_seconds=60)).reading
    assert first.period_kind == PeriodKind.TIMESTAMP
    assert first.period_start == END - 10 * minutes - QUARTER
    assert second.period_start == first.period_end
    assert third.period_start == END - 21 * minutes


def test_timestamps_take_no_part_in_overlap(household):
    outcomes = submit_many([telling(household.meter), stamped(household.meter, END)])
    assert [outcome.code for outcome in outcomes] == ["", ""]


def test_a_timestamps_identity_is_its_end(household):
    first = submit(stamped(household.meter, END))
    again = submit(stamped(household.meter, END, interval_seconds=30))
    assert again.reading.id == first.reading.id
    with pytest.raises(ConflictingReading):
        submit(stamped(household.meter, END, kwh="0.5"))


def test_one_bad_item_fails_no_other_and_the_order_is_kept(household):
    good, conflict = telling(household.meter), telling(household.meter, kwh="9")
    outcomes = submit_many(
        [
            telling(household.meter, kwh="x"),
            good,
            InvalidReading("Not an object"),
            good,
            conflict,
            Submission(meter_serial="NOBODY", kwh_amount=1, period_end=END),
            telling(household.meter, quarters_ago=1),
        ]
    )
    assert statuses(outcomes) == [
        "invalid",
        "created",
        "invalid",
        "duplicate",
        "conflict",
        "invalid",
        "created",
    ]
    assert [o.code for o in outcomes] == [
        "invalid_reading",
        "",
        "invalid_reading",
        "",
        "conflict",
        "unknown_meter",
        "",
    ]
    assert outcomes[2].detail == "Not an object"
    created = outcomes[1].reading_id
    assert isinstance(created, UUID)
    assert outcomes[3].reading_id == outcomes[4].reading_id == created
    assert outcomes[0].reading_id is None
    assert MeterReading.objects.count() == 2


def test_nothing_sent_is_nothing_stored(db):
    assert submit_many([]) == []


def test_the_owner_is_who_held_the_meter_when_the_period_ended(household, solar_farm):
    meter = MeterFactory()
    handover = END - 2 * QUARTER
    MeterAssignmentFactory(meter=meter, owner=household.owner, ends_at=handover)
    MeterAssignmentFactory(meter=meter, owner=solar_farm.owner, starts_at=handover)
    outcomes = submit_many([telling(meter, quarters_ago=ago) for ago in (3, 2, 1)])
    assert [o.reading.owner for o in outcomes] == [
        household.owner,
        household.owner,  # it ends with the assignment: measured under it
        solar_farm.owner,
    ]


def test_a_meter_that_nobody_holds_waits_for_a_wallet(db):
    reading = submit(telling(MeterFactory())).reading
    assert (reading.owner_id, reading.status, reading.code) == (None, "held", "no_wallet")


def test_age_counts_from_the_periods_end_to_the_submission(household):
    week = timedelta(days=7)
    (outcome,) = submit_many([telling(household.meter)], submitted_at=END + week)
    assert outcome.code == ""
    (outcome,) = submit_many([telling(household.meter, quarters_ago=1)], submitted_at=END + week)
    assert outcome.code == "reading_too_old"


def test_the_number_of_queries_does_not_grow(household, solar_farm, outsider):
    def queries(submissions):
        with CaptureQueriesContext(
            connection,
        ) as captured:
            submit_many(submissions)
        return len(captured)

    few = queries([telling(household.meter), telling(household.meter)])
    meters = [household.meter, solar_farm.meter, outsider.meter]
    many = queries(
        [telling(meter, quarters_ago=ago) for ago in range(1, 101) for meter in meters]
        + [telling(household.meter)]
    )
    assert many <= few + 1 <= 11
    assert MeterReading.objects.count() == 301


def test_what_came_later_is_not_read_for_a_late_reading(household):
    """Or a year that is brought after the next one would have that read for every row."""
    minute = timedelta(minutes=1)
    ends = [END - at * minute for at in range(2_000)]
    submit_many(
        [telling(household.meter, period_start=end - minute, period_end=end) for end in ends]
    )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE readings_meterreading, readings_meter")

    before = rows_read("readings_meterreading")
    late = END - timedelta(days=40)
    submit(telling(household.meter, period_start=late - QUARTER, period_end=late))

    assert rows_read("readings_meterreading") - before < 100


def test_tens_of_thousands_go_chunk_by_chunk(household, monkeypatch):
    monkeypatch.setattr("readings.intake.submission.CHUNK", 10)
    submissions = (telling(household.meter, quarters_ago=ago) for ago in range(35))
    outcomes = submit_many([*submissions, telling(household.meter)])
    assert statuses(outcomes) == ["created"] * 35 + ["duplicate"]
    assert outcomes[-1].reading_id == outcomes[0].reading_id


def test_outcomes_speak_the_words_of_the_api():
    assert {status.value for status in OutcomeStatus} == {
        "created",
        "duplicate",
        "conflict",
        "invalid",
    }
