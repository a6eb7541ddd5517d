"""Batches without a chain: browse, read, stop."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from django.db import connection, transaction
from django.db.models import Q
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from minting.engine.states import ResultStatus
from minting.journal.results import move_results
from minting.models import MintBatch, MintResult
from minting.service import describe
from readings.models import MeterReading
from tests.factories.readings import MeterReadingFactory
from tests.minting.api.asserts import problem
from tests.minting.api.history import queued_batch

pytestmark = pytest.mark.django_db

PATH = "/api/v1/mint-batches"


@pytest.fixture
def batch() -> MintBatch:
    return queued_batch([MeterReadingFactory() for _ in range(3)])


def fail(reading_id: object) -> None:
    with transaction.atomic():
        move_results(
            Q(reading=reading_id),
            old={ResultStatus.PENDING},
            new=ResultStatus.FAILED,
            code="frozen_account",
            reason="The token account is frozen",
        )


def test_a_batch_is_described_as_the_contract_says(reader: APIClient, batch: MintBatch) -> None:
    told = reader.get(f"{PATH}/{batch.id}").json()

    results = told.pop("results")
    assert told == {
        "id": str(batch.id),
        "status": "queued",
        "source": "api",
        "created_at": told["created_at"],
        "retry_of": None,
        "total_readings": 3,
        "successful_mints": 0,
        "failed_mints": 0,
        "pending_mints": 3,
        "error_code": None,
        "fee_estimate_lamports": None,
        "rent_estimate_lamports": None,
        "fee_paid_lamports": 0,
        "rent_paid_lamports": 0,
        "transactions": 0,
        "results_url": f"http://testserver{PATH}/{batch.id}/results",
    }
    assert told["created_at"].endswith("Z")
    assert [each["reading_id"] for each in results] == sorted(
        str(each.reading_id) for each in MintResult.objects.all()
    )
    assert results[0] == {
        "reading_id": results[0]["reading_id"],
        "success": None,
        "status": "pending",
        "error": None,
        "error_code": None,
        "tx_signature": None,
        "slot": None,
    }


def test_a_failure_says_why(reader: APIClient, batch: MintBatch) -> None:
    reading = MintResult.objects.order_by("reading_id")[0].reading_id
    fail(reading)

    told = reader.get(f"{PATH}/{batch.id}").json()

    assert (told["failed_mints"], told["pending_mints"]) == (1, 2)
    assert told["results"][0] == {
        "reading_id": str(reading),
        "success": False,
        "status": "failed",
        "error": "The token account is frozen",
        "error_code": "frozen_account",
        "tx_signature": None,
        "slot": None,
    }


def test_many_results_are_told_page_by_page(
    reader: APIClient, batch: MintBatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("minting.api.answers.WHOLE_RESULTS", 2)
    told = reader.get(f"{PATH}/{batch.id}").json()
    assert told["results"] is None
    whole = describe.describe_batch(batch, with_results=True)
    assert whole["results_url"] == f"{PATH}/{batch.id}/results"

    first = reader.get(told["results_url"], {"page_size": 2}).json()
    second = reader.get(first["next"]).json()

    assert first["results"] + second["results"] == whole["results"]
    assert second["next"] is None
    assert reader.get(second["previous"]).json()["results"] == first["results"]
    down = reader.get(f"{PATH}/{batch.id}/results", {"ordering": "-reading_id"}).json()
    assert down["results"] == whole["results"][::-1]


def test_the_list_is_newest_first_and_without_results(reader: APIClient) -> None:
    made = [queued_batch([MeterReadingFactory()]) for _ in range(3)]

    told = reader.get(PATH).json()["results"]

    assert [each["id"] for each in told] == [str(each.id) for each in reversed(made)]
    assert {each["results"] for each in told} == {None}
    assert told[0]["results_url"] == f"http://testserver{PATH}/{told[0]['id']}/results"
    up = reader.get(PATH, {"ordering": "created_at", "page_size": "2"}).json()
    assert [each["id"] for each in up["results"]] == [str(each.id) for each in made[:2]]
    assert len(reader.get(up["next"]).json()["results"]) == 1


def test_the_number_of_queries_does_not_grow(reader: APIClient, batch: MintBatch) -> None:
    def count(path: str) -> int:
        with CaptureQueriesContext(connection) as queries:
            assert reader.get(path).status_code == 200
        return len(queries)

    one, detail = count(PATH), count(f"{PATH}/{batch.id}")
    results = count(f"{PATH}/{batch.id}/results")
    for _ in range(5):
        larger = queued_batch([MeterReadingFactory() for _ in range(6)])

    assert count(PATH) == one
    assert count(f"{PATH}/{larger.id}") == detail
    assert count(f"{PATH}/{larger.id}/results") == results


def test_unknown_batches(machine: Any, reader: APIClient, minter: APIClient) -> None:
    for path in (f"{PATH}/{uuid4()}", f"{PATH}/{uuid4()}/results"):
        assert problem(reader.get(path), 404, "unknown_batch")["batch_id"] in path
    problem(minter.post(f"{PATH}/{uuid4()}/cancel"), 404, "unknown_batch")


def test_cancelling_frees_what_is_not_signed(minter: APIClient, batch: MintBatch) -> None:
    told = minter.post(f"{PATH}/{batch.id}/cancel")

    assert told.status_code == 200
    assert told.json()["status"] == "cancelled"
    assert told.json()["failed_mints"] == 3
    assert {each["error_code"] for each in told.json()["results"]} == {"cancelled"}
    assert "machine" in told.json()["results"][0]["error"]
    assert set(MeterReading.objects.values_list("status", flat=True)) == {"pending"}

    again = minter.post(f"{PATH}/{batch.id}/cancel")
    assert (again.status_code, again.json()) == (200, told.json())


def test_a_finished_batch_cannot_be_cancelled(minter: APIClient, batch: MintBatch) -> None:
    for reading in list(MintResult.objects.values_list("reading_id", flat=True)):
        fail(reading)

    told = problem(minter.post(f"{PATH}/{batch.id}/cancel"), 409, "batch_finished")

    assert told["batch_status"] == "failed"
    batch.refresh_from_db()
    assert batch.cancel_requested_at is None
