"""``POST mint-batch`` and its relatives, on the real token program."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from decimal import Decimal
from threading import Event, Thread
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django_q.models import OrmQ
from rest_framework.test import APIClient

from gridtoken.web import POOL
from minting.api.preferences import SEATS, seat
from minting.models import MintBatch, MintInfo, MintResult
from readings.models import MeterReading
from tests.factories.readings import MeterReadingFactory, household, outsider, solar_farm
from tests.minting.api.asserts import problem
from tests.minting.conftest import MintingChain

pytestmark = pytest.mark.django_db

MINT = "/api/v1/mint-batch"
ESTIMATE = f"{MINT}/estimate"


def named(*readings: Any) -> dict[str, list[str]]:
    return {"reading_ids": [str(getattr(each, "id", each)) for each in readings]}


def nothing_queued() -> bool:
    return (
        not (MintBatch.objects.exists() or MintResult.objects.exists() or OrmQ.objects.exists())
        and not MeterReading.objects.filter(status="minting").exists()
    )


# ------------------------------------------------------------------ queueing


def test_a_batch_is_queued(minter: APIClient, minting_chain: MintingChain) -> None:
    readings = [MeterReadingFactory() for _ in range(3)]

    response = minter.post(MINT, named(*readings))

    assert response.status_code == 202
    told = response.json()
    batch = MintBatch.objects.get()
    assert response["Location"] == f"http://testserver/api/v1/mint-batches/{batch.id}"
    assert minter.get(response["Location"]).json() == told
    assert (told["status"], told["source"], told["total_readings"]) == ("queued", "api", 3)
    assert told["fee_estimate_lamports"] > 0
    assert told["rent_estimate_lamports"] > 0
    assert {each["status"] for each in told["results"]} == {"pending"}
    assert batch.created_by is not None
    assert batch.created_by.username == "machine"
    assert OrmQ.objects.count() == 1
    assert set(MeterReading.objects.values_list("status", flat=True)) == {"minting"}
    assert "Preference-Applied" not in response


def test_a_batch_is_minted(
    minter: APIClient, minting_chain: MintingChain, drain: Callable[[], None]
) -> None:
    readings = [MeterReadingFactory(kwh_amount=Decimal("1.5")) for _ in range(2)]
    location = minter.post(MINT, named(*readings))["Location"]

    drain()

    told = minter.get(location).json()
    assert told["status"] == "succeeded"
    assert (told["successful_mints"], told["pending_mints"]) == (2, 0)
    assert told["transactions"] >= 1
    assert told["fee_paid_lamports"] == told["fee_estimate_lamports"]
    assert told["rent_paid_lamports"] == told["rent_estimate_lamports"]
    assert all(each["success"] and each["slot"] for each in told["results"])
    assert minting_chain.supply() == 3 * 10**9


REFUSED: list[tuple[dict[str, Any] | list[Any] | str, int, str]] = [
    ({}, 400, "invalid_request"),
    ([], 400, "invalid_request"),
    ("text", 400, "invalid_request"),
    ({"reading_ids": None}, 400, "invalid_request"),
    ({"reading_ids": "text"}, 400, "invalid_request"),
    ({"reading_ids": {"a": 1}}, 400, "invalid_request"),
    ({"reading_ids": ["not an id"]}, 400, "invalid_request"),
    ({"reading_ids": [None]}, 400, "invalid_request"),
    ({"reading_ids": [1.5]}, 400, "invalid_request"),
    ({"reading_ids": []}, 400, "empty_batch"),
]


@pytest.mark.parametrize("path", [MINT, ESTIMATE])
@pytest.mark.parametrize(("body", "status", "code"), REFUSED)
def test_a_body_of_the_wrong_form_is_refused(
    minter: APIClient, path: str, body: Any, status: int, code: str
) -> None:
    problem(minter.post(path, body), status, code)
    assert nothing_queued()


@pytest.mark.parametrize("path", [MINT, ESTIMATE])
def test_a_batch_has_a_largest_size(minter: APIClient, path: str, settings: Any) -> None:
    settings.BLOCKCHAIN_MAX_BATCH_SIZE = 2

    told = problem(minter.post(path, named(*(uuid4() for _ in range(3)))), 400, "batch_too_large")
    assert (told["size"], told["max_size"]) == (3, 2)
    assert nothing_queued()


def test_what_is_wrong_is_told_one_by_one(minter: APIClient, minting_chain: MintingChain) -> None:
    house = household()
    good, minted = house.reading(), house.reading(status="minted")
    taken, held = house.reading(status="minting"), outsider().reading()
    unknown = uuid4()
    MeterReading.objects.filter(id=held.id).update(status="held", code="no_wallet")

    told = problem(
        minter.post(MINT, named(good, minted, taken, held, unknown)), 422, "invalid_batch_data"
    )

    assert {each["reading_id"]: each["code"] for each in told["items"]} == {
        str(minted.id): "already_minted",
        str(taken.id): "being_minted",
        str(held.id): "no_wallet",
        str(unknown): "unknown_reading",
    }
    assert all(each["detail"] for each in told["items"])
    assert "4 of 5" in told["reason"]
    good.refresh_from_db()
    assert good.status == "pending"
    assert not MintBatch.objects.exists()


def test_a_reading_named_twice_is_refused(minter: APIClient, minting_chain: MintingChain) -> None:
    reading = MeterReadingFactory()

    unknown = uuid4()
    told = problem(minter.post(MINT, named(reading, unknown, reading)), 422, "invalid_batch_data")

    assert told["items"][0] == {
        "reading_id": str(reading.id),
        "code": "named_twice",
        "detail": "named more than once",
    }
    rest = [(each["reading_id"], each["code"]) for each in told["items"][1:]]
    assert rest == [(str(unknown), "unknown_reading")], "one answer tells all that is wrong"
    assert nothing_queued()


def test_what_is_queued_is_taken(minter: APIClient, minting_chain: MintingChain) -> None:
    reading = MeterReadingFactory()
    assert minter.post(MINT, named(reading)).status_code == 202

    told = problem(minter.post(MINT, named(reading)), 422, "invalid_batch_data")

    assert told["items"][0]["code"] == "being_minted"
    assert MintBatch.objects.count() == 1


def test_without_a_mint_everything_is_refused(minter: APIClient, settings: Any) -> None:
    settings.ENERGY_TOKEN_MINT = None
    reading = MeterReadingFactory()

    for path in (MINT, ESTIMATE):
        told = problem(minter.post(path, named(reading)), 409, "minting_refused")
        assert "ENERGY_TOKEN_MINT" in told["message"]
    assert nothing_queued()


def test_another_cluster_is_refused(
    minter: APIClient, minting_chain: MintingChain, settings: Any
) -> None:
    settings.SOLANA_GENESIS_HASH = "5eykt4UsFv8P8NJdTREpY1vzqKqZKvdpKuc147dw2N9d"

    problem(minter.post(MINT, named(MeterReadingFactory())), 409, "minting_refused")
    assert nothing_queued()


def test_a_silent_node_does_not_keep_from_queueing(
    minter: APIClient, minting_chain: MintingChain, settings: Any
) -> None:
    assert MintInfo.objects.exists()
    settings.SOLANA_RPC_URLS = ["http://127.0.0.1:9"]
    reading = MeterReadingFactory()

    response = minter.post(MINT, named(reading))

    assert response.status_code == 202
    assert response.json()["fee_estimate_lamports"] is None
    told = problem(minter.post(ESTIMATE, named(MeterReadingFactory())), 503, "solana_error")
    assert told["reason"] == "node_unreachable"


# ------------------------------------------------------------------ the estimate


def test_the_estimate_is_exact_and_mints_nothing(
    reader: APIClient, minter: APIClient, minting_chain: MintingChain, drain: Callable[[], None]
) -> None:
    house, farm = household(), solar_farm()
    readings = [house.reading(), house.reading(), farm.reading()]
    minted = farm.reading(status="minted")
    before = minting_chain.lamports()

    told = reader.post(ESTIMATE, named(*readings, minted)).json()

    assert nothing_queued()
    assert minting_chain.lamports() == before
    assert (told["readings"], told["wallets"], told["new_accounts"]) == (3, 2, 2)
    assert told["total_lamports"] == (
        told["network_fee_lamports"] + told["priority_fee_lamports"] + told["rent_lamports"]
    )
    assert told["authority_balance_lamports"] == before
    assert told["balance_after_lamports"] == before - told["total_lamports"]
    assert told["excluded"] == [
        {
            "reading_id": str(minted.id),
            "code": "already_minted",
            "reason": "This reading is minted.",
        }
    ]

    assert minter.post(MINT, named(*readings)).status_code == 202
    drain()
    assert minting_chain.lamports() == told["balance_after_lamports"]


def test_an_estimate_may_be_switched_off(
    reader: APIClient, minting_chain: MintingChain, settings: Any
) -> None:
    settings.BLOCKCHAIN_FEE_ESTIMATION_ENABLED = False

    problem(reader.post(ESTIMATE, named(MeterReadingFactory())), 409, "fee_estimation_disabled")


# ------------------------------------------------------------------ waiting


@contextmanager
def working(drain: Callable[[], None]) -> Iterator[None]:
    """A worker beside us, as ``qcluster`` would be."""
    over = Event()

    def work() -> None:
        try:
            while not over.is_set():
                drain()
                time.sleep(0.05)
        finally:
            connection.close()

    worker = Thread(target=work)
    worker.start()
    try:
        yield
    finally:
        over.set()
        worker.join()


@pytest.mark.django_db(transaction=True)
def test_who_waits_gets_the_results(
    minter: APIClient, minting_chain: MintingChain, drain: Callable[[], None]
) -> None:
    good, frozen = household().reading(), solar_farm()
    assert frozen.wallet is not None
    minting_chain.freeze(frozen.wallet.address)
    bad = frozen.reading()

    with working(drain):
        response = minter.post(MINT, named(good, bad), HTTP_PREFER="respond-async, Wait=20")

    assert response.status_code == 200
    assert response["Preference-Applied"] == "wait=20"
    told = response.json()
    assert told["status"] == "partially_succeeded"
    assert told["error_code"] == "partially_successful"
    outcomes = {each["reading_id"]: each for each in told["results"]}
    assert outcomes[str(good.id)]["success"] is True
    assert outcomes[str(bad.id)]["success"] is False
    assert outcomes[str(bad.id)]["error_code"]


def test_who_waits_in_vain_gets_202(minter: APIClient, minting_chain: MintingChain) -> None:
    begun = time.monotonic()

    response = minter.post(MINT, named(MeterReadingFactory()), HTTP_PREFER="wait=1")

    assert response.status_code == 202
    assert response["Location"]
    assert response["Preference-Applied"] == "wait=1"
    assert time.monotonic() - begun >= 1


def test_who_waits_leaves_threads_to_whoever_else_asks(
    minter: APIClient, minting_chain: MintingChain
) -> None:
    assert POOL["max_size"] > SEATS, "probes and people get an answer while clients wait"
    began = time.monotonic()
    with ExitStack() as waiting:
        taken = [waiting.enter_context(seat()) for _ in range(SEATS + 1)]
        assert taken == [True] * SEATS + [False]
        reading = MeterReadingFactory()
        answer = minter.post(MINT, named(reading), HTTP_PREFER="wait=20")
        assert answer.status_code == 202
        assert "Preference-Applied" not in answer
        assert int(answer["Retry-After"]) > 0
        door = minter.post(f"/api/v1/meters/readings/{reading.id}/mint")
        assert problem(door, 504, "mint_still_running")["batch_id"] == answer.json()["id"]
    assert time.monotonic() - began < 10
    with seat() as free:
        assert free


@pytest.mark.parametrize("prefer", ["wait", "wait=soon", "wait=-1", "handling=lenient", "awaits=9"])
def test_what_is_no_wait_is_ignored(
    minter: APIClient, minting_chain: MintingChain, prefer: str
) -> None:
    response = minter.post(MINT, named(MeterReadingFactory()), HTTP_PREFER=prefer)

    assert response.status_code == 202
    assert "Preference-Applied" not in response


# ------------------------------------------------------------------ the single mint


@pytest.mark.django_db(transaction=True)
def test_the_single_mint_of_old(
    minter: APIClient, minting_chain: MintingChain, drain: Callable[[], None]
) -> None:
    reading = household().reading()

    with working(drain):
        response = minter.post(f"/api/v1/readings/{reading.id}/mint", HTTP_PREFER="wait=20")

    assert response.status_code == 200
    batch = MintBatch.objects.get()
    result = MintResult.objects.get()
    assert response.json() == {
        "reading_id": str(reading.id),
        "success": True,
        "error": None,
        "error_code": None,
        "tx_signature": result.tx_signature,
        "batch_id": str(batch.id),
    }


def test_the_single_mint_answers_like_a_batch_of_one(
    minter: APIClient, minting_chain: MintingChain
) -> None:
    reading = MeterReadingFactory()

    response = minter.post(f"/api/v1/readings/{reading.id}/mint")

    assert response.status_code == 202
    assert response.json()["total_readings"] == 1
    assert response["Location"].endswith(response.json()["id"])
    again = problem(minter.post(f"/api/v1/readings/{reading.id}/mint"), 422, "invalid_batch_data")
    assert again["items"][0]["code"] == "being_minted"


def test_an_unknown_reading_is_not_found(minter: APIClient) -> None:
    problem(minter.post(f"/api/v1/readings/{uuid4()}/mint"), 404, "unknown_reading")
