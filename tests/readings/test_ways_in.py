"""Every rule of readings over every way in: one row a rule, one column a way, one outcome.

The columns are ``ways.every_way``: the API single and in lists, each door of the platform's
clients, files of each format. Behind them all stands the poller: it takes just what is pending.
Nobody adds a reading in the admin but by a file, while staff correct there by hand.
``tests/readings/test_rules.py`` has the judge itself, and what only one format or door knows is
tested with it.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from rest_framework.test import APIClient

from readings import due, imports
from readings.corrected import corrected
from readings.formats import Options
from readings.imports import Decision
from readings.intake import register_wallet, rejudge_limits, release
from readings.models import MeterReading
from readings.models.import_file import ImportKind
from tests.factories.readings import (
    QUARTER,
    MeterAssignmentFactory,
    MeterFactory,
    MeterReadingFactory,
    OwnerFactory,
    WalletFactory,
    address,
)
from tests.minting.api.conftest import machine, submitter
from tests.readings.ways import Told, Way, bodies_of_clients, every_way, quarter_of_yesterday

__all__ = ["machine", "submitter"]

pytestmark = pytest.mark.django_db

END = quarter_of_yesterday()
A_WEEK = timedelta(days=8)


@dataclass(frozen=True)
class Fate:
    """What became of a reading: ``created``, ``duplicate``, ``conflict`` or ``invalid``."""

    what: str
    status: str = ""
    """Where it stands, if it was stored."""
    code: str = ""


PENDING = Fate("created", "pending")
CONSUMED = Fate("created", "not_minted", "consumption")
INVALID = Fate("invalid", "", "invalid_reading")


def held(code: str) -> Fate:
    return Fate("created", "held", code)


@pytest.fixture
def ways(submitter: APIClient) -> list[Way]:
    return every_way(submitter)


def a_meter() -> str:
    """Of an owner with a wallet."""
    return str(MeterFactory(owner=WalletFactory().owner).serial)


def fate(way: Way, told: Told) -> Fate:
    stored = MeterReading.objects.filter(meter__serial=told.serial, period_end=told.end)
    before = stored.count()
    code = way.send(told)
    if stored.count() > before:
        reading = stored.latest("submitted_at")
        assert not code
        return Fate("created", reading.status, reading.code)
    if not code:
        return Fate("duplicate")
    return Fate("conflict" if code == "conflict" else "invalid", "", code)


def fates(
    ways: list[Way], telling: Callable[[str], Told], meter: Callable[[], str] = a_meter
) -> dict[str, Fate]:
    """By way, each with a meter of its own; and the poller takes what is pending, no more."""
    found = {way.name: fate(way, telling(meter())) for way in ways}
    polled = {id_ for part in due.portions(threshold=Decimal(0), most=1_000) for id_ in part}
    assert polled == set(MeterReading.objects.filter(status="pending").values_list("id", flat=True))
    return found


def alike(ways: list[Way], expected: Fate) -> dict[str, Fate]:
    return {way.name: expected for way in ways}


# ------------------------------------------------------------------ one row a rule


def without_wallet() -> str:
    return str(MeterFactory(owner=OwnerFactory()).serial)


def without_owner() -> str:
    return str(MeterFactory().serial)


ROWS: dict[str, tuple[dict[str, Any], Callable[[], str], Fate]] = {
    "plain": ({}, a_meter, PENDING),
    "not a number": ({"raw": "abc"}, a_meter, INVALID),
    "NaN": ({"raw": "NaN"}, a_meter, INVALID),
    "ends in the future": ({"end": END + timedelta(days=2)}, a_meter, INVALID),
    "absurdly large": ({"kwh": Decimal(10**9)}, a_meter, INVALID),
    "unknown meter": ({}, lambda: "NOBODY-1", Fate("invalid", "", "unknown_meter")),
    "zero": ({"kwh": Decimal(0)}, a_meter, CONSUMED),
    "negative": ({"kwh": Decimal("-0.5")}, a_meter, CONSUMED),
    "the largest": ({"kwh": Decimal(100)}, a_meter, PENDING),
    "too large": ({"kwh": Decimal("100.001")}, a_meter, held("reading_too_large")),
    "too old": ({"end": END - A_WEEK}, a_meter, held("reading_too_old")),
    "no wallet": ({}, without_wallet, held("no_wallet")),
    "no owner": ({}, without_owner, held("no_wallet")),
    "zero of nobody's": ({"kwh": Decimal(0)}, without_owner, CONSUMED),
    "too old and too large": (
        {"kwh": Decimal(500), "end": END - A_WEEK},
        a_meter,
        held("reading_too_old"),
    ),
}


@pytest.mark.parametrize("row", ROWS)
def test_a_rule_is_the_same_over_every_way(ways: list[Way], row: str) -> None:
    said, meter, expected = ROWS[row]

    found = fates(ways, lambda serial: Told(serial, **({"end": END} | said)), meter)

    assert found == alike(ways, expected)


def test_a_period_must_end_after_it_starts(ways: list[Way]) -> None:
    both = [way for way in ways if way.both_ends and way.name != "file NEM12"]  # has a grid

    for length in (timedelta(0), -QUARTER):
        told = {way.name: fate(way, Told(a_meter(), END, length=length)) for way in both}
        assert told == alike(both, INVALID)


def test_what_nobody_vouches_for_is_held(ways: list[Way]) -> None:
    """Only files mark quality; whoever sends as a client vouches."""
    marking = [way for way in ways if way.marks_quality]

    assert fates(marking, lambda serial: Told(serial, END, good=False)) == alike(
        marking, held("unverified")
    )
    told = MeterReading.objects.exclude(code="unverified").filter(kwh_amount__gt=0)
    assert not told.exists()


def test_told_again_it_is_the_same_reading_and_with_other_values_a_conflict(
    ways: list[Way],
) -> None:
    meters = {way.name: a_meter() for way in ways}
    tell = {way.name: Told(meters[way.name], END) for way in ways}
    first = {way.name: fate(way, tell[way.name]) for way in ways}
    ids = set(MeterReading.objects.values_list("id", flat=True))
    again = {way.name: fate(way, tell[way.name]) for way in ways}
    other = {way.name: fate(way, Told(meters[way.name], END, kwh=Decimal("0.5"))) for way in ways}

    assert first == alike(ways, PENDING)
    assert again == alike(ways, Fate("duplicate"))
    assert other == alike(ways, Fate("conflict", "", "conflict"))
    assert set(MeterReading.objects.values_list("id", flat=True)) == ids


def test_what_one_way_told_another_tells_again(ways: list[Way]) -> None:
    """Of the same kind of period; a client that moved to another door is paid once."""
    # The others' bodies tell other energies besides: these would be conflicts, as they should.
    alone = {"door operators' script", "door trading UI", "file JSON Lines"}
    for both in (True, False):
        same = [way for way in ways if (way.both_ends and both) or (way.name in alone and not both)]
        serial = a_meter()
        told = [fate(way, Told(serial, END)) for way in same]
        assert told == [PENDING, *[Fate("duplicate")] * (len(same) - 1)]


def test_overlaps_are_judged_between_periods_told_by_both_ends(ways: list[Way]) -> None:
    """One that is told by its end takes no part: its start is only computed."""

    def meter() -> str:
        reading = MeterReadingFactory(period_end=END - QUARTER / 2, status="minted")
        return str(reading.meter.serial)

    expected = {way.name: held("overlapping_period") if way.both_ends else PENDING for way in ways}
    assert fates(ways, lambda serial: Told(serial, END), meter) == expected


def test_clocks_may_run_ahead_by_five_minutes(ways: list[Way]) -> None:
    free = [way for way in ways if way.name != "file NEM12"]  # whose days have a grid
    now = timezone.now().replace(microsecond=0)

    assert fates(free, lambda serial: Told(serial, now + timedelta(minutes=4))) == alike(
        free, PENDING
    )
    assert fates(free, lambda serial: Told(serial, now + timedelta(minutes=6))) == alike(
        free, INVALID
    )


def test_numbers_are_rounded_half_even_and_text_with_more_places_is_refused(
    ways: list[Way],
) -> None:
    """A file of text has no other numbers; Green Button's are whole watt hours."""
    told = [way for way in ways if way.name != "file Green Button"]
    as_wh = [way for way in told if "private" in way.name or way.name == "door today"]
    as_kwh = [way for way in told if way not in as_wh]
    assert as_wh

    for own, number in ((as_kwh, 0.1234567895), (as_wh, 123.4567895)):
        assert fates(own, lambda serial, raw=number: Told(serial, END, raw=raw)) == alike(
            own, PENDING
        )
        expected = {way.name: PENDING if way.rounds else INVALID for way in own}
        assert fates(own, lambda serial, raw=number: Told(serial, END, raw=str(raw))) == expected
    stored = MeterReading.objects.filter(status="pending")
    assert set(stored.values_list("kwh_amount", flat=True)) == {Decimal("0.123456790")}


def test_the_owner_is_who_held_the_meter_when_the_period_ended(ways: list[Way]) -> None:
    before, after = WalletFactory().owner, WalletFactory().owner
    moved = END + timedelta(hours=1)

    def meter() -> str:
        made = MeterFactory()
        MeterAssignmentFactory(meter=made, owner=before, ends_at=moved)
        MeterAssignmentFactory(meter=made, owner=after, starts_at=moved)
        return str(made.serial)

    assert fates(ways, lambda serial: Told(serial, END), meter) == alike(ways, PENDING)
    told = MeterReading.objects.filter(period_end=END)
    assert set(told.values_list("owner", flat=True)) == {before.pk}


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({}, PENDING),
        ({"interval_seconds": 900.0}, PENDING),
        ({"interval_seconds": 900.5}, INVALID),
        ({"interval_seconds": 0}, INVALID),
        ({"reading_id": 17, "signature": {"r": 1}}, PENDING),
        ({"timestamp": END.replace(tzinfo=None).isoformat()}, PENDING),
        ({"timestamp": f"{END:%Y-%m-%d}"}, INVALID),
        ({"timestamp": int(END.timestamp())}, INVALID),
        ({"kwh": None, "1.1.2.8.0.255": None, "2.8.0": 812_345}, INVALID),
        ({"surplus_energy": 0.25, "1.1.2.8.0.255": 500}, PENDING),
    ],
    ids=str,
)
def test_a_body_of_a_client_means_the_same_at_its_doors_and_in_a_file(
    submitter: APIClient, said: dict[str, Any], expected: Fate
) -> None:
    """What it exports, consumed, when, and what is only kept."""
    sends = bodies_of_clients(submitter)
    meters = [a_meter() for _ in sends]

    told = {"timestamp": END.isoformat(), "kwh": 0.5, "1.1.1.8.0.255": 120.5, **said}
    codes = [send(meter, told) for send, meter in zip(sends, meters, strict=True)]

    assert codes == [expected.code if expected == INVALID else ""] * len(sends)
    stored = MeterReading.objects.order_by("meter__serial").values_list(
        *("kwh_amount", "energy_consumed", "period_start", "period_end", "external_id", "status")
    )
    if expected == INVALID:
        assert not stored
    else:
        assert set(stored) == {
            (Decimal("0.5"), Decimal("0.1205"), END - QUARTER, END, "", "pending")
        }
        assert len(stored) == len(sends)


# ------------------------------------------------------------------ what is held, and let go


def mintable() -> int:
    return sum(len(part) for part in due.portions(threshold=Decimal(0), most=1_000))


def test_what_is_held_is_judged_again_when_its_cause_is_gone(
    ways: list[Way], settings: Any, django_user_model: Any
) -> None:
    owner = OwnerFactory()
    fates(ways, lambda serial: Told(serial, END), lambda: str(MeterFactory(owner=owner).serial))
    large = fates(ways, lambda serial: Told(serial, END, kwh=Decimal(150)))
    assert large == alike(ways, held("reading_too_large"))
    assert mintable() == 0

    register_wallet(owner=owner, address=address("late"))
    assert mintable() == len(ways)
    settings.TOKENIZATION_MAX_READING_KWH = Decimal(200)
    assert rejudge_limits() == len(ways)
    assert mintable() == 2 * len(ways)


def test_what_is_held_is_released_by_a_person_with_a_reason_and_stays_so(
    ways: list[Way], django_user_model: Any
) -> None:
    chief = django_user_model.objects.create_user("chief")
    meters = {way.name: a_meter() for way in ways}
    old = {way.name: Told(meters[way.name], END - A_WEEK) for way in ways}
    assert {way.name: fate(way, old[way.name]) for way in ways} == alike(
        ways, held("reading_too_old")
    )

    ids = list(MeterReading.objects.held().values_list("id", flat=True))
    assert all(each.released for each in release(ids, by=chief, reason="the meter was offline"))

    assert mintable() == len(ways)
    assert set(MeterReading.objects.filter(id__in=ids).values_list("release_reason")) == {
        ("the meter was offline",)
    }
    assert {way.name: fate(way, old[way.name]) for way in ways} == alike(ways, Fate("duplicate"))
    assert mintable() == len(ways)


def test_the_threshold_holds_back_the_poller_alone(ways: list[Way]) -> None:
    owner = WalletFactory().owner
    fates(ways[:3], lambda serial: Told(serial, END), lambda: str(MeterFactory(owner=owner).serial))

    assert not list(due.portions(threshold=Decimal("2.26"), most=10))
    assert [len(part) for part in due.portions(threshold=Decimal("2.25"), most=10)] == [3]
    assert set(MeterReading.objects.values_list("status", flat=True)) == {"pending"}


# ------------------------------------------------------------------ corrections


def correct_by_api(client: APIClient, reading: MeterReading, kwh: str) -> None:
    answer = client.post(f"/api/v1/readings/{reading.id}/corrections", {"kwh_amount": kwh})
    assert answer.status_code == 201


def correct_by_file(_client: APIClient, reading: MeterReading, kwh: str) -> None:
    """By both ends or by one, as it was told."""
    start = reading.period_start.isoformat() if reading.period_kind == "interval" else ""
    columns = "meter,start,end,kwh" if start else "meter,timestamp,kwh"
    told = [reading.meter.serial, *([start] if start else []), reading.period_end.isoformat(), kwh]
    content = f"{columns}\n{','.join(told)}\n".encode()
    _, report, _ = imports.take_now(
        io.BytesIO(content),
        kind=ImportKind.READINGS,
        name="corrections.csv",
        options=Options(interval_seconds=None if start else 900),
        decision=Decision(corrections=True),
        dry_run=False,
        tell=lambda *_: None,
    )
    assert report.counts["corrected"] == 1


def correct_in_the_admin(_client: APIClient, reading: MeterReading, kwh: str) -> None:
    user = User.objects.filter(username="chief").first()
    browser = Client()
    browser.force_login(user or User.objects.create_superuser("chief"))
    page = reverse("admin:readings_meterreading_correct", args=[reading.pk])
    said = {"kwh_amount": kwh, "reason": "misread"} | browser.get(page).context["form"].initial
    said = {name: value for name, value in said.items() if value is not None}
    assert browser.post(page, said | {"confirmed": "yes"}).status_code == 302


@pytest.mark.parametrize("correct", [correct_by_api, correct_by_file, correct_in_the_admin])
def test_a_correction_replaces_what_is_not_minted_and_is_recorded_of_what_is(
    ways: list[Way], submitter: APIClient, correct: Callable[..., None]
) -> None:
    began = timezone.now()
    assert fates(ways, lambda serial: Told(serial, END)) == alike(ways, PENDING)
    open_ones = list(MeterReading.objects.select_related("meter").filter(status="pending"))
    for reading in open_ones:
        correct(submitter, reading, "0.5")
    current = MeterReading.objects.filter(revision=2)
    assert set(current.values_list("status", "code", "kwh_amount", "correction_difference")) == {
        ("pending", "", Decimal("0.5"), None)
    }
    assert mintable() == len(ways)
    assert not corrected(began, timezone.now())

    current.update(status="minted")
    for reading in current.select_related("meter"):
        correct(submitter, reading, "0.4")

    told = MeterReading.objects.filter(revision=3)
    assert set(told.values_list("status", "code", "correction_difference")) == {
        ("not_minted", "corrected_after_minting", Decimal("-0.1"))
    }
    report = corrected(began, timezone.now())
    assert sum(each.count for each in report) == len(ways)
    assert {each.kwh for each in report} == {Decimal("-0.1")}
    assert mintable() == 0
