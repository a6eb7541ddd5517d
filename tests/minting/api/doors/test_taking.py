"""Doors that readings come in through: every generation of clients, and everything that happens."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import clear_url_caches
from rest_framework.test import APIClient

import gridtoken.urls
from minting.access.models import ApiToken
from minting.access.scopes import Scope
from readings.models import MeterReading
from tests.factories.readings import QUARTER, Resident, household, outsider
from tests.minting.api.asserts import problem
from tests.minting.api.doors.clients import END, MANIES, SINGLES, Many, Single

pytestmark = pytest.mark.django_db

single = pytest.mark.parametrize("door", SINGLES, ids=lambda door: door.name)
many = pytest.mark.parametrize("door", MANIES, ids=lambda door: door.name)


@pytest.fixture
def house() -> Resident:
    return household()


def knock(
    client: APIClient, door: Single, serial: str = "HOUSE-1", kwh: float = 0.75, back: int = 0
) -> Any:
    return client.post(door.address(serial), door.body(serial, END - back * QUARTER, kwh))


@single
def test_a_reading_and_its_repeat_have_one_id(
    submitter: APIClient, house: Resident, door: Single
) -> None:
    first, again = knock(submitter, door), knock(submitter, door)

    assert (first.status_code, again.status_code) == (200, 200)
    assert set(first.json()) == set(again.json()) == door.members
    stored = MeterReading.objects.get()
    assert first.json()[door.id_name] == again.json()[door.id_name] == str(stored.id)
    assert str(stored.kwh_amount) == "0.750000000"
    assert (stored.period_end, stored.period_start) == (END, END - QUARTER)
    assert (stored.status, stored.verification, stored.period_kind) == (
        *("pending", "verified", "timestamp"),
    )
    assert stored.submitted_by.username == "machine"
    assert first.json()["message"].startswith("Reading stored.")
    assert again.json()["message"].startswith("Reading known already.")


@single
def test_whose_it_is_says_the_registration_alone(
    submitter: APIClient, house: Resident, door: Single
) -> None:
    """Each of the bodies names a foreign wallet, or the meter's id in its place."""
    told = knock(submitter, door).json()

    assert MeterReading.objects.get().owner == house.owner
    assert told.get("wallet_address", house.wallet.address) == house.wallet.address
    assert house.owner.wallets.get().address == house.wallet.address


@single
def test_other_values_for_the_same_time_are_a_conflict(
    submitter: APIClient, house: Resident, door: Single
) -> None:
    first = knock(submitter, door).json()

    told = problem(knock(submitter, door, kwh=0.76), 409, "conflict")
    assert told["reading_id"] == first[door.id_name]


@single
@pytest.mark.parametrize("kwh", [0.0, -0.4])
def test_consumption_is_stored_and_never_minted(
    submitter: APIClient, house: Resident, door: Single, kwh: float
) -> None:
    response = knock(submitter, door, kwh=kwh)

    assert response.status_code == 200
    assert set(response.json()) == door.members
    stored = MeterReading.objects.get()
    assert (stored.status, stored.code) == ("not_minted", "consumption")
    assert stored.kwh_amount <= 0
    assert "Not minted: Nothing was exported" in response.json()["message"]


@single
def test_what_cannot_be_taken_is_told_by_message(
    submitter: APIClient, house: Resident, door: Single
) -> None:
    problem(knock(submitter, door, serial="NOBODY-1"), 404, "unknown_meter")
    bodies: list[Any] = [{}, [], 7, None, {"timestamp": "2026-11-01T00:00:00Z"}]
    for body in bodies:
        problem(submitter.post(door.address("HOUSE-1"), body), 400, "invalid_reading")
    response = submitter.post(door.address("HOUSE-1"), "{", content_type="application/json")
    problem(response, 400, "parse_error")
    assert not MeterReading.objects.exists()


@single
def test_without_wallet_it_is_held_and_said_so(submitter: APIClient, door: Single) -> None:
    told = knock(submitter, door, serial=outsider().meter.serial)

    assert told.status_code == 200
    assert MeterReading.objects.get().code == "no_wallet"
    assert "Held: The meter has no owner with a registered wallet." in told.json()["message"]
    assert told.json().get("wallet_address") is None


@pytest.mark.parametrize("door", [*SINGLES, *MANIES], ids=lambda door: door.name)
def test_nobody_comes_in_without_the_right(
    machine: Callable[..., APIClient], house: Resident, door: Single | Many
) -> None:
    path = door.path.format(serial="HOUSE-1")
    assert problem(APIClient().post(path, {}), 401, "not_authenticated")["message"]
    problem(machine(Scope.READ, Scope.MINT).post(path, {}), 403, "permission_denied")
    problem(machine(Scope.SUBMIT).get(path), 405, "method_not_allowed")


def test_the_key_may_come_in_the_other_header(house: Resident) -> None:
    user = User.objects.create_user("simulator")
    _, key = ApiToken.objects.issue(user=user, scopes=[Scope.SUBMIT], expires_in=None)

    assert knock(APIClient(HTTP_X_API_KEY=key), SINGLES[-1]).status_code == 200


def test_amounts_and_times_in_an_answer(submitter: APIClient, house: Resident) -> None:
    simulator = knock(submitter, SINGLES[0]).json()
    page = knock(submitter, SINGLES[3]).json()  # the same reading by another door

    end = END.isoformat().replace("+00:00", "Z")
    assert simulator["kwh_amount"] == "0.750000000"
    assert (page["kwh"], type(page["kwh"])) == (0.75, float)
    assert simulator["reading_timestamp"] == page["timestamp"] == end
    assert simulator["minted"] is page["minted"] is False
    assert simulator["mint_tx_signature"] is page["tx_signature"] is None
    assert page["serial_number"] == "HOUSE-1"


def test_an_interval_is_the_meters_unless_told(submitter: APIClient, house: Resident) -> None:
    house.meter.interval_seconds = 30
    house.meter.save()
    spring, today = SINGLES[4], SINGLES[5]

    knock(submitter, today)
    knock(submitter, spring, back=1)  # says 900

    newest, older = MeterReading.objects.order_by("-period_end")
    assert (newest.period_end - newest.period_start).seconds == 30
    assert (older.period_end - older.period_start).seconds == 900
    assert older.external_id == "HOUSE-1-17"


# ------------------------------------------------------------------ batches


@many
def test_a_batch_is_answered_item_by_item(
    submitter: APIClient, house: Resident, door: Many
) -> None:
    end, none = END, outsider().meter.serial
    items = [
        door.item("HOUSE-1", end, 0.5),
        door.item("HOUSE-1", end, 0.5),
        door.item("HOUSE-1", end, 0.6),
        door.item("HOUSE-1", end - QUARTER, 0.0),
        door.item("NOBODY-1", end, 0.5),
        "no reading",
        door.item(none, end, 0.5),
    ]
    response = submitter.post(door.path, door.frame(items))

    assert response.status_code == 200
    told = response.json()
    stored = MeterReading.objects.get(meter=house.meter, period_end=end)
    assert MeterReading.objects.count() == 3
    if door.is_counted:
        assert set(told) == {"success_count", "failed_count", "message"}
        assert (told["success_count"], told["failed_count"]) == (4, 3)
        assert told["message"].startswith(
            "4 of 7 readings stored; not stored, by position: 2: conf"
        )
        assert "4: unknown_meter (No meter with serial 'NOBODY-1'" in told["message"]
        assert "5: invalid_reading (A reading is a JSON object)" in told["message"]
        return
    assert [each["status"] for each in told] == [
        *("accepted", "accepted", "failed", "accepted", "failed", "failed", "accepted"),
    ]
    assert all(set(each) == {"status", "reading_id", "message"} for each in told)
    assert {each["reading_id"] for each in told[:3]} == {str(stored.id)}
    assert told[4]["reading_id"] is None
    assert "Held" in told[6]["message"]


@many
def test_a_batch_has_a_form_and_a_largest_size(
    submitter: APIClient, house: Resident, door: Many
) -> None:
    bodies: list[Any] = [{}, [], "text", {"readings": {}}, {"readings": None}]
    for body in bodies:
        problem(submitter.post(door.path, body), 400, "invalid_request")
    told = problem(submitter.post(door.path, door.frame([{}] * 1_001)), 400, "too_many_readings")
    assert told["max_size"] == 1_000
    empty = submitter.post(door.path, door.frame([]))
    assert empty.status_code == 200


def test_a_long_list_of_failures_is_cut(submitter: APIClient) -> None:
    told = submitter.post(MANIES[0].path, {"readings": [None] * 100}).json()

    assert told["failed_count"] == 100
    assert told["message"].endswith("19: invalid_reading (A reading is a JSON object); and 80 more")


def test_a_large_batch_is_as_many_statements_as_a_small_one(
    submitter: APIClient, house: Resident
) -> None:
    door = MANIES[-1]
    items = [door.item("HOUSE-1", END - back * QUARTER, 0.5) for back in range(300)]

    with CaptureQueriesContext(connection) as few:
        submitter.post(door.path, door.frame(items[:2]))
    with CaptureQueriesContext(connection) as large:
        submitter.post(door.path, door.frame(items[2:]))
    assert len(few) == len(large)
    assert MeterReading.objects.count() == 300


def test_a_batch_of_frames_for_others_is_refused(submitter: APIClient) -> None:
    body = {"protocol": "v4", "readings": [{"device_id": "M-1", "payload_hex": "00"}]}

    problem(submitter.post(MANIES[-1].path, body), 400, "invalid_reading")


# ------------------------------------------------------------------ keys, rights, the switch


@pytest.mark.parametrize("door", [SINGLES[0], SINGLES[2]], ids=lambda door: door.name)
def test_a_request_with_a_key_has_its_effect_once(
    submitter: APIClient, house: Resident, door: Single
) -> None:
    body = door.body("HOUSE-1", END, 0.5)
    key: Any = {"HTTP_IDEMPOTENCY_KEY": "mine"}

    first = submitter.post(door.address("HOUSE-1"), body, **key)
    assert submitter.post(door.address("HOUSE-1"), body, **key).json() == first.json()
    other = submitter.post(door.address("HOUSE-1"), {**body, "voltage": 1}, **key)
    problem(other, 422, "idempotency_key_reused")


def test_auto_mint_without_the_right_stores_and_says_so(
    submitter: APIClient, house: Resident
) -> None:
    told = knock(submitter, SINGLES[3])

    assert told.status_code == 200
    assert told.json()["minted"] is False
    assert told.json()["message"] == (
        "Reading stored. Not minted: auto_mint needs a token with the scope mint."
    )
    assert MeterReading.objects.get().status == "pending"


def test_the_doors_can_be_taken_out(
    submitter: APIClient, house: Resident, settings: Any, request: pytest.FixtureRequest
) -> None:
    def read_urls() -> None:
        importlib.reload(gridtoken.urls)
        clear_url_caches()

    settings.PLATFORM_DOORS = False
    read_urls()
    try:
        assert knock(submitter, SINGLES[0]).status_code == 404
        assert knock(submitter, SINGLES[2]).status_code == 404
        assert submitter.post("/api/v1/readings", []).status_code == 200
    finally:
        settings.PLATFORM_DOORS = True
        read_urls()
    assert knock(submitter, SINGLES[0]).status_code == 200
