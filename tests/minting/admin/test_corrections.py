"""Correcting a reading on its page: what is shown, what it does, and what it refuses."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from django.contrib.messages import get_messages
from django.test import Client
from django.urls import reverse
from structlog.testing import capture_logs

from readings import intake
from readings.models import MeterReading
from tests.factories.readings import Resident, household
from tests.minting.admin import journal
from tests.minting.admin.conftest import VIEWS, Staff

RIGHT = "readings.correct_meterreading"
MINUS = "\N{MINUS SIGN}"


@pytest.fixture
def chief(staff: Staff) -> Client:
    """May correct."""
    return staff("chief", *VIEWS, RIGHT)


@pytest.fixture
def house(db: None) -> Resident:
    return household()


def form_of(reading: MeterReading) -> str:
    return reverse("admin:readings_meterreading_correct", args=[reading.pk])


def page_of(reading: MeterReading) -> str:
    return reverse("admin:readings_meterreading_change", args=[reading.pk])


def said(client: Client, reading: MeterReading, kwh: str = "0.3", **more: str) -> dict[str, str]:
    """What a person who opens the page sends."""
    shown = client.get(form_of(reading)).context["form"].initial
    seen = {name: str(value or "") for name, value in shown.items()}
    return {"kwh_amount": kwh, "reason": "misread", **seen, **more}


def words(answer: Any) -> str:
    return " ".join(answer.content.decode().split())


def rows() -> list[tuple[Any, ...]]:
    """Every revision there is, oldest first."""
    return list(
        MeterReading.objects.order_by("revision").values_list(
            *("revision", "is_current", "status", "code", "kwh_amount", "correction_difference")
        )
    )


def test_what_is_not_minted_is_replaced_after_one_look(chief: Client, house: Resident):
    old = house.reading(energy_generated=Decimal("1.5"))
    before = rows()
    assert form_of(old) in words(chief.get(page_of(old)))
    form = words(chief.get(form_of(old)))
    assert "takes the place" in form
    assert "Now 0.25 kWh." in form
    assert "Now 1.5 kWh; it stays so if this is left empty." in form

    sent = said(chief, old, " 0.3 ")
    look = chief.post(form_of(old), sent)
    assert look.context["comparison"] == {
        "headers": ["What", "Now", "Corrected", "Difference"],
        "rows": [
            ["Exported", "0.25 kWh", "0.3 kWh", "+0.05 kWh"],
            ["Tokens", "0.25 tokens", "0.3 tokens", "+0.05 tokens"],
            ["Generated", "1.5 kWh", "1.5 kWh", "0 kWh"],
        ],
    }
    assert "It will be pending: ready for minting." in words(look)
    again = words(chief.post(form_of(old), {**sent, "confirmed": "yes", "again": "1"}))
    assert 'value=" 0.3 "' in again, "as it was typed"
    assert rows() == before, "looking keeps nothing"

    with capture_logs() as logged:
        done = chief.post(form_of(old), {**sent, "confirmed": "yes"})
    new = MeterReading.objects.current().get()
    assert rows() == [
        (1, False, "not_minted", "superseded", Decimal("0.25"), None),
        (2, True, "pending", "", Decimal("0.3"), None),
    ]
    assert (new.source, new.correction_reason) == ("admin", "misread")
    assert new.submitted_by is not None
    assert new.submitted_by.username == "chief"
    assert done["Location"] == page_of(new)
    (told,) = get_messages(done.wsgi_request)
    assert page_of(new) in str(told)
    (line,) = [each for each in logged if each["event"] == "reading_corrected"]
    assert (line["by"], line["reason"], line["kwh"]) == ("chief", "misread", "0.300000000")

    for revision, other in ((old, new), (new, old)):
        shown = chief.get(page_of(revision))
        assert page_of(other) in words(shown), "each leads to the other"
        assert ("This is revision 1;" in words(shown)) is (revision == old)
        assert (form_of(revision) in words(shown)) is (revision == new)


def test_of_what_is_minted_the_difference_is_recorded(chief: Client):
    result = journal.minted_batch().results.get()
    minted = result.reading
    form = words(chief.get(form_of(minted)))
    assert "nothing is clawed back" in form

    for kwh, exported in (("0.2", f"{MINUS}0.05 kWh"), ("0.4", "+0.15 kWh")):
        look = chief.post(form_of(minted), said(chief, minted, kwh))
        table = look.context["comparison"]
        assert table["rows"][0][-1] == exported
        assert table["rows"][1][1] == "0.25 tokens"
        chief.post(form_of(minted), {**said(chief, minted, kwh), "confirmed": "yes"})
    assert table["headers"] == ["What", "Minted", "Now", "Corrected", "Difference to minted"]
    after = ("not_minted", "corrected_after_minting")
    assert rows() == [
        (1, False, "minted", "", Decimal("0.25"), None),
        (2, False, "not_minted", "superseded", Decimal("0.2"), Decimal("-0.05")),
        (3, True, *after, Decimal("0.4"), Decimal("0.15")),
    ]


@pytest.mark.parametrize("status", ["minting", "in_doubt"])
def test_what_is_being_minted_is_refused_with_the_sentence(
    chief: Client, house: Resident, status: str
):
    flying = house.reading()
    sent = said(chief, flying)
    MeterReading.objects.update(status=status)
    before = rows()
    for answer in (
        chief.get(form_of(flying)),
        chief.post(form_of(flying), {**sent, "confirmed": "yes"}),
    ):
        assert f"Reading {flying.pk} is being minted; correct it once" in words(answer)
        assert 'name="kwh_amount"' not in words(answer)
    assert rows() == before


def test_what_changed_since_it_was_shown_is_not_corrected(chief: Client, house: Resident):
    reading = house.reading()
    sent = said(chief, reading)
    MeterReading.objects.update(status="minted")
    answer = chief.post(form_of(reading), {**sent, "confirmed": "yes"})
    assert "The reading was minted meanwhile" in words(answer)

    seen_minted = said(chief, reading)
    MeterReading.objects.update(status="pending")
    answer = chief.post(form_of(reading), {**seen_minted, "confirmed": "yes"})
    assert "The reading lost its minting to a fork meanwhile" in words(answer)
    intake.correct(reading_id=reading.id, kwh_amount="0.7")
    before = rows()
    for more in ({}, {"confirmed": "yes"}):
        answer = chief.post(form_of(reading), {**sent, **more})
        assert "corrected meanwhile: revision 2 is current" in words(answer)
        assert 'role="alert"' in words(answer)
    for damaged in ({"current": ""}, {"current": "x"}, {"minted": "x"}):
        answer = chief.post(form_of(reading), {**sent, **damaged, "confirmed": "yes"})
        assert "This is not what the page had shown" in words(answer)
    assert rows() == before


@pytest.mark.parametrize(
    ("wrong", "field", "sentence"),
    [
        ({"kwh_amount": ""}, "kwh_amount", "This field is required."),
        ({"kwh_amount": "0,5"}, "kwh_amount", "This is not a decimal number."),
        ({"kwh_amount": "NaN"}, "kwh_amount", "This is not a decimal number."),
        ({"kwh_amount": "1e9"}, "kwh_amount", "This is absurdly large."),
        ({"kwh_amount": "0.1234567891"}, "kwh_amount", "This has more than 9 decimal places."),
        ({"kwh_amount": "0.250"}, "kwh_amount", "The reading says just this already."),
        ({"energy_generated": "much"}, "energy_generated", "This is not a decimal number."),
        ({"energy_consumed": "-1e10"}, "energy_consumed", "This is absurdly large."),
        ({"reason": "  "}, "reason", "This field is required."),
        ({"reason": "x" * 2_001}, "reason", "at most 2000 characters"),
        ({"reason": "a\x00b"}, "reason", "Null characters are not allowed."),
    ],
    ids=str,
)
def test_a_wrong_value_is_told_beside_its_field(
    chief: Client, house: Resident, wrong: dict[str, str], field: str, sentence: str
):
    reading = house.reading()
    before = rows()
    answer = chief.post(form_of(reading), {**said(chief, reading), **wrong, "confirmed": "yes"})
    beside = words(answer).partition(f'id="id_{field}_error"')[2].partition("</ul>")[0]
    assert sentence in beside
    assert rows() == before


def test_what_it_will_be_is_what_intake_says(
    chief: Client, house: Resident, django_user_model: Any
):
    reading = house.reading(kwh_amount=200, status="held", code="reading_too_large")
    boss = django_user_model.objects.create_user("boss")
    intake.release([reading.id], by=boss, reason="it is a farm")
    look = words(chief.post(form_of(reading), said(chief, reading, "150")))
    assert "The release does not carry over" in look
    assert "It will be held. " in look
    assert "It will not be minted. " in words(
        chief.post(form_of(reading), said(chief, reading, "-1"))
    )
    assert [row[2] for row in rows()] == ["pending"]


@pytest.mark.parametrize(
    "rights", [VIEWS, (*VIEWS, "readings.release_meterreading", "readings.add_meterreading")]
)
def test_correcting_needs_its_right(
    staff: Staff, chief: Client, house: Resident, rights: tuple[str, ...]
):
    reading = house.reading()
    sent = said(chief, reading)
    client = staff("somebody", *rights)
    assert "Correct…" not in words(client.get(page_of(reading)))
    assert client.get(form_of(reading)).status_code == 403
    assert client.post(form_of(reading), {**sent, "confirmed": "yes"}).status_code == 403
    assert len(rows()) == 1


def test_two_presses_make_one_revision_and_none_is_of_no_reading(chief: Client, house: Resident):
    reading = house.reading()
    sent = {**said(chief, reading), "confirmed": "yes"}
    assert chief.post(form_of(reading), sent).status_code == 302
    assert "corrected meanwhile" in words(chief.post(form_of(reading), sent))
    assert len(rows()) == 2
    missing = form_of(reading).replace(str(reading.pk), "00000000-0000-4000-8000-000000000000")
    assert chief.get(missing).status_code == 404
