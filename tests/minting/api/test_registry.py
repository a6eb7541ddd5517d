"""``owners`` and ``meters``: what the admin's registry does, for machines."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from auditlog.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from rest_framework.test import APIClient
from solders.pubkey import Pubkey
from spl.token.instructions import get_associated_token_address

from minting.access.scopes import Scope
from readings.models import Meter, MeterAssignment, Owner, Wallet
from tests.factories.readings import (
    LONG_AGO,
    MeterFactory,
    MeterReadingFactory,
    OwnerFactory,
    WalletFactory,
    address,
    household,
    outsider,
    solar_farm,
)
from tests.minting.api.asserts import problem

pytestmark = pytest.mark.django_db

OWNERS, METERS = "/api/v1/owners", "/api/v1/meters"


@pytest.fixture
def registrar(machine: Callable[..., APIClient]) -> APIClient:
    return machine(Scope.REGISTRY)


def read(text: str) -> datetime:
    return datetime.fromisoformat(text)


# ------------------------------------------------------------------ owners


def test_an_owner_is_registered_with_a_wallet(registrar: APIClient) -> None:
    body = {"user_id": "u-1", "name": "Anong", "wallet_address": f" {address('anong')} "}

    response = registrar.post(OWNERS, body)

    assert response.status_code == 201
    told = response.json()
    owner = Owner.objects.get()
    assert response["Location"] == f"http://testserver{OWNERS}/{owner.id}"
    assert told == {
        "id": str(owner.id),
        "user_id": "u-1",
        "name": "Anong",
        "email": None,
        "wallet_address": address("anong"),
        "wallets": [
            {
                "address": address("anong"),
                "registered_at": told["wallets"][0]["registered_at"],
                "retired_at": None,
            }
        ],
        "wallet_change": None,
        "created_at": told["created_at"],
    }
    assert registrar.get(response["Location"]).json() == told


def test_a_user_id_is_taken_once(registrar: APIClient) -> None:
    owner = OwnerFactory(user_id="u-1")

    told = problem(
        registrar.post(OWNERS, {"user_id": "u-1", "name": "Other"}), 409, "already_registered"
    )
    assert told["id"] == str(owner.id)
    assert Owner.objects.count() == 1


def test_a_new_wallet_lets_go_what_was_held_for_want_of_one(registrar: APIClient) -> None:
    niran = outsider()
    held = niran.reading(status="held", code="no_wallet")
    path = f"{OWNERS}/{niran.owner.id}"

    first = registrar.patch(path, {"wallet_address": address("one")})
    held.refresh_from_db()
    assert (first.status_code, held.status) == (200, "pending")

    second = registrar.patch(path, {"wallet_address": address("two"), "email": "n@example.org"})
    told = second.json()
    assert (told["wallet_address"], told["email"]) == (address("two"), "n@example.org")
    assert [each["retired_at"] is None for each in told["wallets"]] == [True, False]

    assert registrar.patch(path, {"wallet_address": None}).json()["wallet_address"] is None
    held.refresh_from_db()
    assert (held.status, held.code) == ("held", "no_wallet")


@pytest.mark.parametrize(
    "wallet",
    [
        "not an address",
        "",
        "1" * 31,
        str(get_associated_token_address(Pubkey.from_string(address("a")), Pubkey.default())),
    ],
)
def test_what_is_no_wallet_changes_nothing(registrar: APIClient, wallet: str) -> None:
    house = household()
    body = {"name": "Other", "wallet_address": wallet}

    refused = registrar.patch(f"{OWNERS}/{house.owner.id}", body)
    made = registrar.post(OWNERS, {"user_id": "u-9", **body})

    for response in (refused, made):
        if wallet:
            told = problem(response, 422, "invalid_wallet")
            assert "base58" in told["message"] or "off the curve" in told["message"]
        else:
            problem(response, 400, "invalid_request")
    house.owner.refresh_from_db()
    assert house.owner.name == "Anong Srisuk"
    assert Wallet.objects.current().get() == house.wallet
    assert Owner.objects.count() == 1


@pytest.mark.parametrize(
    "body",
    [
        {},
        [],
        None,
        {"user_id": "u"},
        {"user_id": "", "name": "N"},
        {"user_id": "u" * 65, "name": "N"},
        {"user_id": "u\x00", "name": "N"},
        {"user_id": "\ud800", "name": "N"},
        {"user_id": "u", "name": ["N"]},
        {"user_id": "u", "name": "N", "email": "nobody"},
        {"user_id": "u", "name": "N", "wallet_address": 5.5},
    ],
)
def test_an_owner_of_the_wrong_form_is_refused(registrar: APIClient, body: Any) -> None:
    response = registrar.post(OWNERS, json.dumps(body), content_type="application/json")

    assert response.status_code in (400, 422)
    assert response.json()["code"] in {"invalid_request", "invalid_wallet", "parse_error"}
    assert not Owner.objects.exists()


# ------------------------------------------------------------------ meters


def test_a_meter_is_registered_and_held(registrar: APIClient) -> None:
    OwnerFactory(user_id="u-1")
    body = {
        "serial": "M-1",
        "location": "Bangkok",
        "interval_seconds": 30,
        "owner": "u-1",
        "owner_since": "2026-01-01T00:00:00Z",
    }

    response = registrar.post(METERS, body)

    assert response.status_code == 201
    meter = Meter.objects.get()
    told = response.json()
    assert response["Location"] == f"http://testserver{METERS}/{meter.id}"
    assert told == {
        "id": str(meter.id),
        "serial": "M-1",
        "name": None,
        "location": "Bangkok",
        "interval_seconds": 30,
        "owner": "u-1",
        "assignments": [{"owner": "u-1", "starts_at": "2026-01-01T00:00:00Z", "ends_at": None}],
        "registered_at": told["registered_at"],
    }
    assert registrar.get(response["Location"]).json() == told
    again = problem(registrar.post(METERS, {"serial": "M-1"}), 409, "already_registered")
    assert again["id"] == str(meter.id)


def test_what_is_told_may_be_sent_back(registrar: APIClient) -> None:
    """As a client does that reads, changes one value and writes: null stays null."""
    house = household()
    for path in (f"{OWNERS}/{house.owner.id}", f"{METERS}/{house.meter.id}"):
        told = registrar.get(path).json()
        assert None in (told.get("email", ""), told.get("location", ""))
        answer = registrar.patch(path, told)
        assert (answer.status_code, answer.json()) == (200, told)
    assert registrar.patch(path, {"location": "Roof"}).json()["location"] == "Roof"
    assert registrar.patch(path, {"location": None}).json()["location"] is None


def test_a_meter_changes_hands_and_readings_keep_their_owner(registrar: APIClient) -> None:
    house, farm = household(), solar_farm()
    before = house.reading()
    path = f"{METERS}/{house.meter.id}"

    told = registrar.patch(path, {"owner": "farm", "name": "Roof", "interval_seconds": 15}).json()

    assert (told["owner"], told["name"], told["interval_seconds"]) == ("farm", "Roof", 15)
    new, old = told["assignments"]
    assert (new["owner"], old["owner"], old["ends_at"]) == ("farm", "anong", new["starts_at"])
    assert timezone.now() - read(new["starts_at"]) < timedelta(minutes=1)
    before.refresh_from_db()
    assert before.owner == house.owner
    assert farm.owner.assignments.count() == 2

    freed = registrar.patch(path, {"owner": None}).json()
    assert freed["owner"] is None
    assert freed["assignments"][0]["ends_at"] is not None
    assert registrar.patch(path, {"owner": None}).json() == freed


def test_an_owner_given_late_gets_what_nobody_had(registrar: APIClient) -> None:
    WalletFactory(owner=OwnerFactory(user_id="u-1"))
    meter = MeterFactory(serial="M-1")
    reading = MeterReadingFactory(meter=meter, owner=None, status="held", code="no_wallet")

    registrar.patch(f"{METERS}/{meter.id}", {"owner": "u-1", "owner_since": LONG_AGO.isoformat()})

    reading.refresh_from_db()
    assert (reading.owner.user_id, reading.status) == ("u-1", "pending")


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"owner": "nobody"}, 404, "unknown_owner"),
        ({"owner": "farm", "owner_since": "2020-01-01T00:00:00Z"}, 422, "overlapping_assignment"),
        ({"owner": None, "owner_since": "2020-01-01T00:00:00Z"}, 422, "registry_error"),
        ({"owner_since": "2026-01-01T00:00:00Z"}, 400, "invalid_request"),
        ({"interval_seconds": 0}, 400, "invalid_request"),
        ({"interval_seconds": 86_401}, 400, "invalid_request"),
        ({"interval_seconds": "soon"}, 400, "invalid_request"),
        ({"owner_since": "soon", "owner": "farm"}, 400, "invalid_request"),
        ({"serial": "M-2"}, 400, "invalid_request"),
        ({}, 400, "invalid_request"),
    ],
)
def test_a_change_that_cannot_be_changes_nothing(
    registrar: APIClient, changes: dict[str, Any], status: int, code: str
) -> None:
    house = household()
    solar_farm()
    changes = {"name": "Other", **changes} if "owner" in changes else changes

    problem(registrar.patch(f"{METERS}/{house.meter.id}", changes), status, code)

    house.meter.refresh_from_db()
    assert house.meter.name == ""
    assert MeterAssignment.objects.filter(meter=house.meter, ends_at=None).count() == 1


# ------------------------------------------------------------------ lists, rights, keys


def test_lists_are_narrowed_ordered_and_turned(registrar: APIClient) -> None:
    house, farm, none = household(), solar_farm(), outsider()

    def listed(path: str, name: str, **query: str | int) -> list[str]:
        return [each[name] for each in registrar.get(path, query).json()["results"]]

    assert listed(OWNERS, "user_id") == ["niran", "farm", "anong"]
    assert listed(OWNERS, "user_id", ordering="user_id") == ["anong", "farm", "niran"]
    assert listed(OWNERS, "user_id", user_id="farm") == ["farm"]
    assert listed(OWNERS, "user_id", wallet=house.wallet.address) == ["anong"]
    assert listed(METERS, "serial", ordering="-serial") == ["OUTSIDE-1", "HOUSE-1", "FARM-1"]
    assert listed(METERS, "serial", serial="FARM-1") == ["FARM-1"]
    assert listed(METERS, "serial", owner="niran") == ["OUTSIDE-1"]
    first = registrar.get(OWNERS, {"page_size": 2}).json()
    second = registrar.get(first["next"]).json()
    assert [each["user_id"] for each in second["results"]] == ["anong"]
    assert second["next"] is None
    problem(registrar.get(METERS, {"ordering": "name"}), 400, "invalid_request")
    for path in (OWNERS, METERS):
        problem(registrar.get(f"{path}/{uuid4()}"), 404, "not_found")
        problem(registrar.patch(f"{path}/{uuid4()}", {"name": "x"}), 404, "not_found")
    assert farm.meter != none.meter


@pytest.mark.parametrize("path", [OWNERS, METERS])
def test_lists_ask_as_often_for_many_as_for_few(registrar: APIClient, path: str) -> None:
    household()
    with CaptureQueriesContext(connection) as few:
        registrar.get(path)
    for _ in range(10):
        MeterFactory(owner=WalletFactory().owner)
    with CaptureQueriesContext(connection) as many:
        registrar.get(path)
    assert len(few) == len(many)


def test_only_the_registrars_come_in(machine: Callable[..., APIClient]) -> None:
    house = household()
    others = machine(Scope.READ, Scope.SUBMIT, Scope.MINT)
    for path in (OWNERS, METERS):
        problem(APIClient().get(path), 401, "not_authenticated")
        problem(others.get(path), 403, "permission_denied")
        problem(others.post(path, {}), 403, "permission_denied")
    problem(others.patch(f"{OWNERS}/{house.owner.id}", {}), 403, "permission_denied")
    problem(others.get(f"{METERS}/{house.meter.id}"), 403, "permission_denied")


def test_a_session_may_what_the_admin_lets_it() -> None:
    house = household()
    clerk = User.objects.create_user("clerk", is_staff=True)
    session = APIClient()
    owner, meter = f"{OWNERS}/{house.owner.id}", f"{METERS}/{house.meter.id}"

    def grant(*names: str) -> None:
        clerk.user_permissions.add(*Permission.objects.filter(codename__in=names))
        session.force_login(User.objects.get(pk=clerk.pk))

    grant("view_owner", "change_owner", "view_meter", "change_meter")
    assert session.get(owner).status_code == session.get(meter).status_code == 200
    assert session.patch(owner, {"name": "Anong S."}).status_code == 200
    problem(session.post(OWNERS, {"user_id": "u", "name": "N"}), 403, "permission_denied")
    wallet = {"name": "A", "wallet_address": address("new")}
    problem(session.patch(owner, wallet), 403, "permission_denied")
    problem(session.patch(meter, {"owner": None}), 403, "permission_denied")
    house.owner.refresh_from_db()
    assert house.owner.name == "Anong S."

    grant("add_wallet", "add_meterassignment", "add_owner", "add_meter")
    assert session.patch(owner, wallet).status_code == 200
    assert session.patch(meter, {"owner": None}).status_code == 200
    assert session.post(METERS, {"serial": "M-1"}).status_code == 201


def test_every_change_is_logged_with_the_tokens_user(registrar: APIClient) -> None:
    house, farm = household(), solar_farm()
    LogEntry.objects.all().delete()

    registrar.patch(f"{OWNERS}/{house.owner.id}", {"name": "A.", "wallet_address": address("new")})
    registrar.patch(f"{METERS}/{house.meter.id}", {"owner": "farm", "location": "Bangkok"})

    logged = LogEntry.objects.order_by("id")
    assert {each.actor.username for each in logged} == {"machine"}
    told = [
        (each.content_type.model, each.get_action_display(), set(each.changes)) for each in logged
    ]
    assert ("owner", "update", {"name"}) in told
    assert ("wallet", "update", {"retired_at"}) in told
    assert ("meterassignment", "update", {"ends_at"}) in told
    assert ("meter", "update", {"location"}) in told
    assert [(kind, action) for kind, action, _ in told if action == "create"] == [
        *(("wallet", "create"), ("meterassignment", "create")),
    ]
    assert farm.owner.assignments.count() == 2


def test_a_change_with_a_key_has_its_effect_once(registrar: APIClient) -> None:
    body = {"user_id": "u-1", "name": "Anong"}
    key: Any = {"HTTP_IDEMPOTENCY_KEY": "first"}

    made = registrar.post(OWNERS, body, **key)
    again = registrar.post(OWNERS, body, **key)
    assert (again.status_code, again.json(), again["Location"]) == (
        *(201, made.json(), made["Location"]),
    )
    path = f"{OWNERS}/{made.json()['id']}"
    changed = registrar.patch(path, {"wallet_address": address("one")}, **key)
    registrar.patch(path, {"wallet_address": address("two")})
    told = registrar.patch(path, {"wallet_address": address("one")}, **key)
    assert told.json() == changed.json()
    assert Wallet.objects.current().get().address == address("two")
