"""Doors that mint, on the real token program."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any
from uuid import UUID, uuid4

import pytest
from rest_framework.test import APIClient

from minting.access.models import ApiCall
from minting.access.scopes import Scope
from minting.api.doors import paying
from minting.models import IdempotencyKey, MintBatch
from readings.models import MeterReading
from tests.factories.readings import household, outsider, solar_farm
from tests.minting.api.asserts import problem
from tests.minting.api.doors.clients import END, OF_METER, trading_ui
from tests.minting.conftest import MintingChain

pytestmark = pytest.mark.django_db

BY_OPERATORS = "/api/admin/meters/mint-from-reading"
PAID = {"message", "transaction_signature", "kwh_amount", "wallet_address"}

Working = Callable[[], AbstractContextManager[None]]


def by_ui(reading_id: object) -> str:
    return f"/api/v1/meters/readings/{reading_id}/mint"


@pytest.mark.django_db(transaction=True)
def test_both_doors_mint_and_answer_with_the_signature(
    minter: APIClient, minting_chain: MintingChain, working: Working
) -> None:
    house, farm = household(), solar_farm()
    one, two = house.reading(), house.reading()
    minting_chain.freeze(farm.wallet.address)
    bad = farm.reading()

    with working():
        first = minter.post(BY_OPERATORS, {"reading_id": str(one.id)}, HTTP_IDEMPOTENCY_KEY="k")
        second = minter.post(by_ui(two.id))
        failed = minter.post(by_ui(bad.id))

    one.refresh_from_db()
    assert (first.status_code, second.status_code) == (200, 200)
    assert set(first.json()) == set(second.json()) == PAID
    assert first.json()["kwh_amount"] == "0.250000000"
    assert first.json()["wallet_address"] == house.wallet.address
    assert minting_chain.supply() == 2 * 25 * 10**7
    assert one.status == "minted"

    again = minter.post(BY_OPERATORS, {"reading_id": str(one.id)}, HTTP_IDEMPOTENCY_KEY="k")
    assert again.json() == first.json()
    told = problem(minter.post(by_ui(one.id)), 400, "already_minted")
    assert told["reading_id"] == str(one.id)
    told = problem(failed, 409, "mint_failed")
    assert told["error_code"]
    assert minter.get(told["batch_url"]).json()["id"] == told["batch_id"]


def test_who_waits_in_vain_is_told_where_to_look_and_may_ask_again(
    minter: APIClient, minting_chain: MintingChain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paying, "WAIT", 0)
    reading = household().reading()

    first = problem(minter.post(by_ui(reading.id)), 504, "mint_still_running")
    body = {"reading_id": str(reading.id)}
    response = minter.post(BY_OPERATORS, body, HTTP_IDEMPOTENCY_KEY="k")
    again = problem(response, 504, "mint_still_running")

    batch = MintBatch.objects.get()
    calls = ApiCall.objects.order_by("id").values_list("endpoint", "effect", "batch", "status")
    assert list(calls) == [
        ("mint-reading", True, batch.id, 504),
        ("mint-from-reading", False, batch.id, 504),
    ]
    assert first["batch_id"] == again["batch_id"] == str(batch.id)
    assert first["batch_url"] == f"http://testserver/api/v1/mint-batches/{batch.id}"
    assert batch.status == "queued"  # the mint goes on

    kept = IdempotencyKey.objects.get()
    assert (kept.endpoint, kept.batch) == ("mint-from-reading", batch)


def test_what_cannot_be_minted_is_a_400_that_says_why(
    minter: APIClient, minting_chain: MintingChain
) -> None:
    held = outsider().reading(status="held", code="no_wallet")
    consumed = household().reading(kwh_amount=0, status="not_minted", code="consumption")

    problem(minter.post(by_ui(held.id)), 400, "no_wallet")
    problem(minter.post(BY_OPERATORS, {"reading_id": str(consumed.id)}), 400, "consumption")
    problem(minter.post(by_ui(uuid4())), 404, "unknown_reading")
    problem(minter.post(BY_OPERATORS, {"reading_id": str(uuid4())}), 404, "unknown_reading")
    bodies: list[Any] = [{}, [], {"reading_id": None}, {"reading_id": "x"}]
    for body in bodies:
        problem(minter.post(BY_OPERATORS, body), 400, "invalid_request")
    assert not MintBatch.objects.exists()


@pytest.mark.parametrize("path", [BY_OPERATORS, by_ui(UUID(int=7))])
def test_only_who_may_mint_comes_in(machine: Callable[..., APIClient], path: str) -> None:
    problem(APIClient().post(path, {}), 401, "not_authenticated")
    problem(machine(Scope.READ, Scope.SUBMIT).post(path, {}), 403, "permission_denied")


# ------------------------------------------------------------------ auto_mint


def submit(client: APIClient, serial: str = "HOUSE-1", **headers: Any) -> Any:
    path = f"/api/v1/meters/{serial}/readings?auto_mint=true"
    return client.post(path, trading_ui(serial, END, 0.75), **headers)


@pytest.mark.django_db(transaction=True)
def test_auto_mint_mints_once_and_answers_minted(
    machine: Callable[..., APIClient], minting_chain: MintingChain, working: Working
) -> None:
    household()
    client = machine(Scope.SUBMIT, Scope.MINT)

    with working():
        first = submit(client)
        again = submit(client)

    assert set(first.json()) == OF_METER
    assert (first.json()["minted"], again.json()["minted"]) == (True, True)
    assert first.json()["tx_signature"] == again.json()["tx_signature"] != ""
    assert first.json()["id"] == again.json()["id"]
    assert minting_chain.supply() == 75 * 10**7
    assert MintBatch.objects.count() == 1


def test_auto_mint_waits_for_the_same_batch_when_asked_again(
    machine: Callable[..., APIClient], minting_chain: MintingChain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paying, "WAIT", 0)
    household()
    client = machine(Scope.SUBMIT, Scope.MINT)

    told = [
        problem(submit(client, HTTP_IDEMPOTENCY_KEY="k"), 504, "mint_still_running")
        for _ in range(2)
    ]

    batch = MintBatch.objects.get()
    assert {each["batch_id"] for each in told} == {str(batch.id)}
    assert [(each.effect, each.batch) for each in ApiCall.objects.order_by("id")] == [
        *((True, batch), (False, batch)),
    ]
    assert MeterReading.objects.get().status == "minting"


def test_auto_mint_of_what_cannot_be_minted_stores_and_says_so(
    machine: Callable[..., APIClient], minting_chain: MintingChain, settings: Any
) -> None:
    household()
    outsider()
    client = machine(Scope.SUBMIT, Scope.MINT)

    assert "Held: The meter has no owner" in submit(client, serial="OUTSIDE-1").json()["message"]
    settings.ENERGY_TOKEN_MINT = None
    refused = submit(client)
    assert refused.status_code == 200
    assert refused.json()["minted"] is False
    assert "Not minted: " in refused.json()["message"]
    assert MeterReading.objects.get(meter__serial="HOUSE-1").status == "pending"
