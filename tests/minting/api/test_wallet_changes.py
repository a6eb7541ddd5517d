"""With four eyes on, the API asks for another wallet, tells what became of it, decides nothing."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from minting.access.scopes import Scope
from readings import intake
from readings.models import Wallet, WalletChange
from tests.factories.readings import OwnerFactory, WalletFactory, address, household
from tests.minting.api.asserts import problem

pytestmark = pytest.mark.django_db

OWNERS, CHANGES = "/api/v1/owners", "/api/v1/wallet-changes"
NEW = address("new")


@pytest.fixture(autouse=True)
def four_eyes(settings: Any) -> None:
    settings.APPROVAL_ABOVE_KWH = Decimal(1)


@pytest.fixture
def registrar(machine: Callable[..., APIClient]) -> APIClient:
    return machine(Scope.REGISTRY)


def test_another_wallet_waits_and_the_same_again_is_the_same_request(registrar: APIClient) -> None:
    house = household()
    path = f"{OWNERS}/{house.owner.id}"
    body = {"name": "Anong S.", "wallet_address": f" {NEW} "}

    first = registrar.patch(path, body)

    told = first.json()
    change = WalletChange.objects.get()
    assert first.status_code == 202
    assert first["Location"] == f"http://testserver{CHANGES}/{change.id}"
    assert (told["name"], told["wallet_address"]) == ("Anong S.", house.wallet.address)
    assert [each["address"] for each in told["wallets"]] == [house.wallet.address]
    assert told["wallet_change"] == {
        "id": str(change.id),
        "status": "proposed",
        "owner": "anong",
        "owner_id": str(house.owner.id),
        "old_address": house.wallet.address,
        "address": NEW,
        "way": "api",
        "proposed_by": "machine",
        "proposed_at": told["wallet_change"]["proposed_at"],
        "expires_at": told["wallet_change"]["expires_at"],
        "decided_by": None,
        "decided_at": None,
        "reason": None,
    }
    again = registrar.patch(path, {"wallet_address": NEW})
    assert (again.status_code, again.json()["wallet_change"]) == (202, told["wallet_change"])
    assert registrar.get(path).json() == again.json()
    assert registrar.get(first["Location"]).json() == told["wallet_change"]

    intake.approve_wallet_change(
        change.id, by=User.objects.create_user("approver"), digest=intake.digest_of(change)
    )
    done = registrar.patch(path, {"wallet_address": NEW})
    assert (done.status_code, done.json()["wallet_address"]) == (200, NEW)
    assert done.json()["wallet_change"] is None
    became = registrar.get(first["Location"]).json()
    assert (became["status"], became["decided_by"]) == ("approved", "approver")


def test_a_key_keeps_the_202_and_where_the_request_is(registrar: APIClient) -> None:
    path = f"{OWNERS}/{household().owner.id}"
    key: Any = {"HTTP_IDEMPOTENCY_KEY": "first"}
    made = registrar.patch(path, {"wallet_address": NEW}, **key)
    registrar.patch(path, {"wallet_address": address("other")})
    again = registrar.patch(path, {"wallet_address": NEW}, **key)
    assert (again.status_code, again.json(), again["Location"]) == (
        *(202, made.json(), made["Location"]),
    )
    assert WalletChange.objects.proposed().get().address == address("other")


def test_a_first_wallet_and_none_do_not_wait(registrar: APIClient) -> None:
    made = registrar.post(OWNERS, {"user_id": "u", "name": "N", "wallet_address": NEW})
    assert (made.status_code, made.json()["wallet_address"]) == (201, NEW)
    path = made["Location"]
    waits = registrar.patch(path, {"wallet_address": address("two")})
    assert waits.status_code == 202
    gone = registrar.patch(path, {"wallet_address": None})
    assert (gone.status_code, gone.json()["wallet_address"]) == (200, None)
    assert gone.json()["wallet_change"] is None
    assert registrar.get(waits["Location"]).json()["status"] == "withdrawn"
    assert registrar.patch(path, {"wallet_address": NEW}).status_code == 202
    problem(registrar.patch(path, {"wallet_address": "x"}), 422, "invalid_wallet")
    assert not Wallet.objects.current().exists()


def test_it_is_taken_back_until_it_is_decided(registrar: APIClient) -> None:
    path = f"{OWNERS}/{household().owner.id}"
    first = registrar.patch(path, {"wallet_address": NEW})["Location"]
    for _ in range(2):
        taken = registrar.post(f"{first}/withdraw", {"reason": "a typing error"})
        assert (taken.status_code, taken.json()["status"]) == (200, "withdrawn")
        assert (taken.json()["decided_by"], taken.json()["reason"]) == ("machine", "a typing error")
    second = registrar.patch(path, {"wallet_address": NEW})["Location"]
    assert second != first
    WalletChange.objects.filter(status="proposed").update(status="expired")
    problem(registrar.post(f"{second}/withdraw", {}), 409, "wallet_change_conflict")
    problem(registrar.post(f"{CHANGES}/{uuid4()}/withdraw", {}), 404, "not_found")
    problem(registrar.get(f"{CHANGES}/{uuid4()}"), 404, "not_found")
    listed = registrar.get(CHANGES, {"owner": "anong", "ordering": "proposed_at"}).json()
    assert [each["status"] for each in listed["results"]] == ["withdrawn", "expired"]
    assert registrar.get(CHANGES, {"owner": "niran"}).json()["results"] == []
    assert len(registrar.get(CHANGES, {"status": "expired"}).json()["results"]) == 1
    problem(registrar.get(CHANGES, {"status": "unknown"}), 400, "invalid_request")


def test_lists_ask_as_often_for_many_as_for_few(registrar: APIClient) -> None:
    def ask() -> None:
        owner = WalletFactory(owner=OwnerFactory()).owner
        intake.register_wallet(owner=owner, address=address(f"{owner} new"))

    for path in (OWNERS, CHANGES):
        ask()
        with CaptureQueriesContext(connection) as few:
            registrar.get(path)
        for _ in range(5):
            ask()
        with CaptureQueriesContext(connection) as many:
            registrar.get(path)
        assert len(few) == len(many)
