"""``POST readings``: one or many, exact, each with its reason."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from readings.models import MeterReading
from tests.factories.readings import QUARTER, Resident, household, last_quarter, outsider
from tests.minting.api.asserts import problem

pytestmark = pytest.mark.django_db

PATH = "/api/v1/readings"


@pytest.fixture
def house() -> Resident:
    return household()


def body(house: Resident, *, back: int = 0, **changes: Any) -> dict[str, Any]:
    end = last_quarter() - back * QUARTER
    return {
        "meter_serial": house.meter.serial,
        "kwh_amount": "0.75",
        "period_start": (end - QUARTER).isoformat(),
        "period_end": end.isoformat(),
    } | changes


def raw(client: APIClient, text: str | bytes) -> Any:
    return client.post(PATH, text, content_type="application/json")


def test_a_new_reading_is_created(submitter: APIClient, house: Resident) -> None:
    response = submitter.post(PATH, body(house, external_id="gw-7", unknown="ignored"))

    assert response.status_code == 201
    told = response.json()
    stored = MeterReading.objects.get()
    assert response["Location"] == f"http://testserver{PATH}/{stored.id}"
    assert told == {
        "id": str(stored.id),
        "meter_serial": house.meter.serial,
        "owner": house.owner.user_id,
        "wallet_address": house.wallet and house.wallet.address,
        "kwh_amount": "0.750000000",
        "period_start": told["period_start"],
        "period_end": told["period_end"],
        "status": "pending",
        "code": None,
        "tx_signature": None,
        "submitted_at": told["submitted_at"],
    }
    assert told["period_end"].endswith("Z")
    assert stored.external_id == "gw-7"
    assert stored.verification == "verified"
    assert stored.submitted_by is not None
    assert stored.submitted_by.username == "machine"


def test_an_exact_repeat_gets_the_same_id(submitter: APIClient, house: Resident) -> None:
    first = submitter.post(PATH, body(house))
    second = submitter.post(PATH, body(house, kwh_amount="0.750"))

    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json() == second.json()
    assert MeterReading.objects.count() == 1


def test_other_values_for_the_same_period_are_a_conflict(
    submitter: APIClient, house: Resident
) -> None:
    first = submitter.post(PATH, body(house)).json()

    told = problem(submitter.post(PATH, body(house, kwh_amount="0.76")), 409, "conflict")
    assert told["reading_id"] == first["id"]
    assert str(MeterReading.objects.get().kwh_amount) == "0.750000000"


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        ("0.1", "0.100000000"),
        ("0.1234567885", "0.123456788"),
        ("0.1234567895", "0.123456790"),
        ("1e-9", "0.000000001"),
        ("7", "7.000000000"),
        ('"0.123456789"', "0.123456789"),
    ],
)
def test_a_number_is_decimal_and_rounded_half_even(
    submitter: APIClient, house: Resident, sent: str, stored: str
) -> None:
    text = json.dumps(body(house, kwh_amount="@")).replace('"@"', sent)

    assert raw(submitter, text).json()["kwh_amount"] == stored


@pytest.mark.parametrize(
    "sent",
    [
        '"0.1234567891"',
        "true",
        "null",
        "[]",
        '"NaN"',
        '"one"',
        "1e400",
        "-1e400",
        "1e12",
        '"1_000"',
        '"٣"',
    ],
)
def test_what_is_no_energy_is_refused(submitter: APIClient, house: Resident, sent: str) -> None:
    text = json.dumps(body(house, kwh_amount="@")).replace('"@"', sent)

    told = problem(raw(submitter, text), 400, "invalid_reading")
    assert "kwh_amount" in told["message"]
    assert not MeterReading.objects.exists()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        '{"kwh_amount": NaN}',
        '{"kwh_amount": Infinity}',
        '{"kwh_amount": 1e99999999999999999999}',
        '{"kwh_amount": ' + "9" * 5_000 + "}",
        "[" * 100_000,
        b'{"kwh_amount": "\xff"}',
        '{"kwh_amount": "\\ud800"}',
        '{"meter_serial": "a\\u0000b"}',
        "{'kwh_amount': 1}",
    ],
)
def test_what_is_not_json_is_refused(submitter: APIClient, text: str | bytes) -> None:
    response = raw(submitter, text)

    assert response.status_code == 400
    assert response.json()["code"] in {"parse_error", "invalid_reading"}


@pytest.mark.parametrize("text", ["1", "null", '"text"', "{}", "1.5", "false"])
def test_what_is_no_reading_is_refused(submitter: APIClient, text: str) -> None:
    problem(raw(submitter, text), 400, "invalid_reading")


def test_other_kinds_of_bodies_are_refused(submitter: APIClient, house: Resident) -> None:
    response = submitter.post(PATH, "a=1", content_type="application/x-www-form-urlencoded")

    problem(response, 415, "unsupported_media_type")


def test_a_body_has_a_largest_size(submitter: APIClient, settings: Any) -> None:
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1_000

    told = problem(raw(submitter, "[" + " " * 1_000 + "]"), 413, "body_too_large")
    assert told["max_bytes"] == 1_000
    assert raw(submitter, "[" + " " * 998 + "]").status_code == 200


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"meter_serial": None}, "meter_serial"),
        ({"meter_serial": 7}, "meter_serial"),
        ({"meter_serial": "x" * 101}, "meter_serial"),
        ({"period_start": None}, "period_start"),
        ({"period_end": None}, "period_end"),
        ({"period_end": "yesterday"}, "period_end"),
        ({"period_end": "2026-01-01T00:00:00"}, "offset"),
        ({"period_end": 1_700_000_000}, "period_end"),
        ({"period_end": "2999-01-01T00:00:00Z"}, "month"),
        ({"period_end": "2001-01-01T00:00:00Z"}, "end after"),
        ({"external_id": {"a": 1}}, "external_id"),
        ({"meter_signature": 5}, "meter_signature"),
        ({"energy_generated": "much"}, "energy_generated"),
    ],
)
def test_each_value_is_told_by_its_name(
    submitter: APIClient, house: Resident, changes: dict[str, Any], word: str
) -> None:
    told = problem(submitter.post(PATH, body(house, **changes)), 400, "invalid_reading")

    assert word in told["detail"]
    assert not MeterReading.objects.exists()


def test_an_unknown_meter_is_not_found(submitter: APIClient, house: Resident) -> None:
    problem(submitter.post(PATH, body(house, meter_serial="NOBODY-1")), 404, "unknown_meter")


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"kwh_amount": "0"}, "not_minted", "consumption"),
        ({"kwh_amount": -1.5}, "not_minted", "consumption"),
        ({"kwh_amount": "100.1"}, "held", "reading_too_large"),
    ],
)
def test_what_cannot_be_minted_is_stored_with_the_reason(
    submitter: APIClient, house: Resident, changes: dict[str, Any], status: str, code: str
) -> None:
    response = submitter.post(PATH, body(house, **changes))

    assert response.status_code == 201
    assert (response.json()["status"], response.json()["code"]) == (status, code)


def test_a_meter_without_wallet_is_held(submitter: APIClient) -> None:
    told = submitter.post(PATH, body(outsider())).json()

    assert (told["status"], told["code"]) == ("held", "no_wallet")
    assert told["wallet_address"] is None
    assert told["owner"] == "niran"


# ------------------------------------------------------------------ lists


def test_a_list_gets_an_outcome_for_each_in_order(submitter: APIClient, house: Resident) -> None:
    known = submitter.post(PATH, body(house)).json()["id"]

    response = submitter.post(
        PATH,
        [
            body(house, back=1),
            body(house),
            body(house, kwh_amount="9"),
            body(house, meter_serial="NOBODY-1"),
            body(house, back=2, kwh_amount="much"),
            "no reading",
            body(house, back=3, kwh_amount="0"),
            body(house, back=1),
        ],
    )

    assert response.status_code == 200
    told = response.json()
    assert (told["created"], told["duplicates"], told["failed"]) == (2, 2, 4)
    assert [(each["status"], each["code"]) for each in told["results"]] == [
        ("created", None),
        ("duplicate", None),
        ("conflict", "conflict"),
        ("invalid", "unknown_meter"),
        ("invalid", "invalid_reading"),
        ("invalid", "invalid_reading"),
        ("created", "consumption"),
        ("duplicate", None),
    ]
    results = told["results"]
    assert results[1]["id"] == results[2]["id"] == known
    assert results[3]["id"] is results[4]["id"] is results[5]["id"] is None
    assert results[0]["id"] == results[7]["id"]
    assert results[0]["detail"] is None
    assert all(results[at]["detail"] for at in (2, 3, 4, 5, 6))
    assert MeterReading.objects.count() == 3


def test_a_list_may_have_a_thousand(submitter: APIClient, house: Resident) -> None:
    items = [body(house, back=back) for back in range(400)]
    with CaptureQueriesContext(
        connection,
    ) as few:
        assert submitter.post(PATH, items[:4]).json()["created"] == 4
    with CaptureQueriesContext(connection) as many:
        assert submitter.post(PATH, items[4:]).json()["created"] == 396
    assert len(few) == len(many)

    told = problem(submitter.post(PATH, items[:1] * 1_001), 400, "too_many_readings")
    assert (told["size"], told["max_size"]) == (1_001, 1_000)
    again = submitter.post(PATH, items[:1] * 1_000).json()
    assert (again["created"], again["duplicates"]) == (0, 1_000)


def test_an_empty_list_does_nothing(submitter: APIClient) -> None:
    assert submitter.post(PATH, []).json() == {
        "created": 0,
        "duplicates": 0,
        "failed": 0,
        "results": [],
    }


# ------------------------------------------------------------------ corrections


def correct(client: APIClient, reading_id: object, **sent: Any) -> Any:
    return client.post(f"{PATH}/{reading_id}/corrections", sent)


def test_a_correction_replaces_what_is_not_minted(submitter: APIClient, house: Resident) -> None:
    old = house.reading()

    response = correct(submitter, old.id, kwh_amount="0.5", reason="meter was misread")

    assert response.status_code == 201
    told = response.json()
    assert told["kwh_amount"] == "0.500000000"
    assert (told["status"], told["revision"], told["correction_difference"]) == ("pending", 2, None)
    new = MeterReading.objects.get(id=told["id"])
    assert new.correction_reason == "meter was misread"
    old.refresh_from_db()
    assert (old.status, old.code, old.is_current) == ("not_minted", "superseded", False)
    assert response["Location"].endswith(f"/readings/{new.id}")


def test_the_same_correction_again_changes_nothing(submitter: APIClient, house: Resident) -> None:
    old = house.reading()
    first = correct(submitter, old.id, kwh_amount="0.5")

    again = correct(submitter, old.id, kwh_amount=0.5)
    assert again.status_code == 200
    assert again.json()["id"] == first.json()["id"]


def test_after_minting_the_difference_is_recorded(submitter: APIClient, house: Resident) -> None:
    old = house.reading(status="minted")

    told = correct(submitter, old.id, kwh_amount="0.2").json()

    assert (told["status"], told["code"]) == ("not_minted", "corrected_after_minting")
    assert told["correction_difference"] == "-0.050000000"
    old.refresh_from_db()
    assert old.status == "minted"


def test_corrections_that_cannot_be(submitter: APIClient, house: Resident) -> None:
    flying = house.reading(status="minting")
    still = house.reading()

    problem(correct(submitter, uuid4(), kwh_amount="1"), 404, "unknown_reading")
    told = problem(correct(submitter, flying.id, kwh_amount="1"), 409, "being_minted")
    assert told["reading_id"] == str(flying.id)
    problem(correct(submitter, still.id), 400, "invalid_reading")
    problem(correct(submitter, still.id, kwh_amount="a"), 400, "invalid_reading")
    problem(correct(submitter, still.id, kwh_amount="1", reason=["x"]), 400, "invalid_request")
    problem(correct(submitter, still.id, kwh_amount="1", reason="a\x00"), 400, "parse_error")
    assert MeterReading.objects.count() == 2
    assert correct(submitter, still.id, kwh_amount="1", reason=None).status_code == 201


def test_readings_come_in_time_or_are_held(submitter: APIClient, house: Resident) -> None:
    end = last_quarter() - timedelta(days=8)
    sent = body(house, period_start=(end - QUARTER).isoformat(), period_end=end.isoformat())

    assert submitter.post(PATH, sent).json()["code"] == "reading_too_old"
