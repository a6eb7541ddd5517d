"""``Idempotency-Key``: a request that is sent again has its effect once."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from unittest.mock import patch
from uuid import UUID

import pytest
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Q
from django.utils import timezone
from rest_framework.test import APIClient

from minting.access.models import ApiToken
from minting.access.scopes import Scope
from minting.engine.errors import NodeUnreachable
from minting.engine.states import ResultStatus
from minting.journal.results import move_results
from minting.models import IdempotencyKey, MintBatch
from minting.service.requests import repeats
from readings.models import MeterReading
from tests.factories.readings import MeterFactory, MeterReadingFactory, household, solar_farm
from tests.minting.api.asserts import problem
from tests.minting.api.history import queued_batch
from tests.minting.conftest import MintingChain

pytestmark = pytest.mark.django_db

MINT = "/api/v1/mint-batch"
READINGS = "/api/v1/readings"
KEY = {"Idempotency-Key": "8e03978e-40d5-43e8-bc93-6894a57f9324"}


def named(*readings: Any) -> dict[str, list[str]]:
    return {"reading_ids": [str(each.id) for each in readings]}


def submission(**values: Any) -> dict[str, Any]:
    told = {
        "kwh_amount": "0.75",
        "period_start": "2026-11-23T10:00:00Z",
        "period_end": "2026-11-23T10:15:00Z",
    }
    return {**told, **values}


def test_a_key_s_thirty_days_begin_by_the_database_s_clock(
    submitter: APIClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    meter, now = MeterFactory(), timezone.now
    body = submission(meter_serial=meter.serial)
    monkeypatch.setattr(timezone, "now", lambda: now() + timedelta(days=31))
    answer = submitter.post(READINGS, body, headers=KEY)
    monkeypatch.undo()

    kept = IdempotencyKey.objects.get()
    assert repeats.forget_old() == 0
    assert abs(kept.created_at - now()) < timedelta(minutes=1), answer.content


# ------------------------------------------------------------------ batches


def test_a_repeat_is_told_of_the_same_batch(minter: APIClient, minting_chain: MintingChain) -> None:
    body = named(household().reading(), solar_farm().reading())

    first, second = (minter.post(MINT, body, headers=KEY) for _ in range(2))

    assert (first.status_code, second.status_code) == (202, 202)
    assert first.content == second.content
    assert first["Location"] == second["Location"]
    assert str(MintBatch.objects.get().id) == first.json()["id"]


def test_a_repeat_tells_how_the_batch_stands(
    minter: APIClient, minting_chain: MintingChain, drain: Callable[[], None]
) -> None:
    body = named(household().reading())
    assert minter.post(MINT, body, headers=KEY).json()["status"] == "queued"

    drain()

    plain = minter.post(MINT, body, headers=KEY)
    waiting = minter.post(MINT, body, headers={**KEY, "Prefer": "wait=5"})
    assert (plain.status_code, waiting.status_code) == (202, 200)
    assert plain.json() == waiting.json()
    assert plain.json()["status"] == "succeeded"
    assert minting_chain.supply() == 250_000_000


def test_the_single_mint_is_repeated(
    minter: APIClient, minting_chain: MintingChain, drain: Callable[[], None]
) -> None:
    reading = household().reading()
    path = f"{READINGS}/{reading.id}/mint"
    queued = minter.post(path, headers=KEY)

    drain()

    done = minter.post(path, headers={**KEY, "Prefer": "wait=5"})
    assert (queued.status_code, done.status_code) == (202, 200)
    assert done.json()["batch_id"] == queued.json()["id"] == str(MintBatch.objects.get().id)
    assert done.json()["success"] is True


def test_a_retry_is_repeated(minter: APIClient, minting_chain: MintingChain) -> None:
    batch = queued_batch([household().reading()])
    fail(batch)
    path = f"/api/v1/mint-batches/{batch.id}/retry"

    first, second = (minter.post(path, headers=KEY) for _ in range(2))

    assert (first.status_code, second.status_code) == (202, 202)
    assert first.json()["id"] == second.json()["id"] != str(batch.id)
    assert MintBatch.objects.filter(retry_of=batch).count() == 1
    problem(minter.post(path), 409, "nothing_to_retry")


def test_a_cancel_is_repeated(minter: APIClient) -> None:
    batch = queued_batch([household().reading()])
    path = f"/api/v1/mint-batches/{batch.id}/cancel"

    first, second = (minter.post(path, headers=KEY) for _ in range(2))

    assert (first.status_code, second.status_code) == (200, 200)
    assert first.json() == second.json()
    assert first.json()["status"] == "cancelled"


@transaction.atomic
def fail(batch: MintBatch) -> None:
    move_results(
        Q(batch=batch),
        old={ResultStatus.PENDING},
        new=ResultStatus.FAILED,
        code="node_unreachable",
        reason="No node answered",
    )


# ------------------------------------------------------------------ readings


def test_a_reading_is_answered_to_the_letter(submitter: APIClient) -> None:
    body = submission(meter_serial=MeterFactory(owner=household().owner).serial)
    first = submitter.post(READINGS, body, headers=KEY)
    MeterReading.objects.update(status="held", code="unverified")

    second = submitter.post(READINGS, body, headers=KEY)

    assert (first.status_code, second.status_code) == (201, 201)
    assert first.content == second.content
    assert first["Location"] == second["Location"]
    assert MeterReading.objects.count() == 1
    assert submitter.post(READINGS, body).status_code == 200  # without the key: as it is now


def test_a_list_is_answered_to_the_letter(submitter: APIClient) -> None:
    body = [submission(meter_serial=MeterFactory().serial), submission(meter_serial="unknown")]

    first = submitter.post(READINGS, body, headers=KEY)
    MeterFactory(serial="unknown")
    second = submitter.post(READINGS, body, headers=KEY)

    assert (first.status_code, first.json()["created"], first.json()["failed"]) == (200, 1, 1)
    assert first.content == second.content
    assert MeterReading.objects.count() == 1
    again = submitter.post(READINGS, body, headers={"Idempotency-Key": "another"}).json()
    assert (again["created"], again["duplicates"]) == (1, 1)


def test_a_correction_is_repeated(submitter: APIClient) -> None:
    reading = household().reading()
    path, body = f"{READINGS}/{reading.id}/corrections", {"kwh_amount": "0.5"}

    first, second = (submitter.post(path, body, headers=KEY) for _ in range(2))

    assert (first.status_code, second.status_code) == (201, 201)
    assert first.content == second.content
    assert MeterReading.objects.count() == 2


# ------------------------------------------------------------------ which request is meant


@pytest.mark.parametrize(
    "spelling",
    [
        b'{"reading_ids":["%s"]}',
        b'\xef\xbb\xbf{\n "reading_ids" : [ "%s" ]\n}',
    ],
)
def test_json_counts_and_not_its_spelling(
    minter: APIClient, minting_chain: MintingChain, spelling: bytes
) -> None:
    reading = household().reading()
    first = minter.post(MINT, named(reading), headers=KEY)

    body = spelling.replace(b"%s", str(reading.id).encode())
    again = minter.post(MINT, body, content_type="application/json", headers=KEY)

    assert again.status_code == 202
    assert again.json()["id"] == first.json()["id"]


def test_another_body_is_refused(minter: APIClient, minting_chain: MintingChain) -> None:
    one, other = household().reading(), solar_farm().reading()
    minter.post(MINT, named(one), headers=KEY)

    bodies: list[Any] = [named(other), named(one, other), {**named(one), "more": 1}, [], None]
    for body in bodies:
        problem(minter.post(MINT, body, headers=KEY), 422, "idempotency_key_reused")

    assert MintBatch.objects.count() == 1
    other.refresh_from_db()
    assert other.status == "pending"


def test_another_address_is_refused(minter: APIClient, minting_chain: MintingChain) -> None:
    one, other = household().reading(), solar_farm().reading()
    assert minter.post(f"{READINGS}/{one.id}/mint", headers=KEY).status_code == 202

    answer = minter.post(f"{READINGS}/{other.id}/mint", headers=KEY)

    problem(answer, 422, "idempotency_key_reused")
    assert MintBatch.objects.count() == 1


def test_one_and_a_list_of_one_are_two_requests(submitter: APIClient) -> None:
    body = submission(meter_serial=MeterFactory().serial)
    assert submitter.post(READINGS, body, headers=KEY).status_code == 201

    problem(submitter.post(READINGS, [body], headers=KEY), 422, "idempotency_key_reused")


def test_a_key_is_the_endpoints(
    machine: Callable[..., APIClient], minting_chain: MintingChain
) -> None:
    client, reading = machine(Scope.MINT, Scope.SUBMIT), household().reading()
    body = submission(meter_serial=reading.meter.serial)

    assert client.post(MINT, named(reading), headers=KEY).status_code == 202
    assert client.post(READINGS, body, headers=KEY).status_code == 201
    assert IdempotencyKey.objects.count() == 2


def test_a_key_is_the_users_and_not_the_tokens(
    machine: Callable[..., APIClient], minting_chain: MintingChain
) -> None:
    one, other = household().reading(), solar_farm().reading()
    first = machine(Scope.MINT).post(MINT, named(one), headers=KEY)
    again = machine(Scope.MINT, Scope.READ).post(MINT, named(one), headers=KEY)

    assert again.json()["id"] == first.json()["id"]
    stranger = User.objects.create_user("stranger")
    _, token = ApiToken.objects.issue(user=stranger, scopes=[Scope.MINT], expires_in=None)
    headers = {**KEY, "Authorization": f"Bearer {token}"}
    theirs = APIClient().post(MINT, named(other), headers=headers)
    assert theirs.status_code == 202
    assert theirs.json()["id"] != first.json()["id"]


def test_who_lost_the_scope_is_told_nothing(
    machine: Callable[..., APIClient], minting_chain: MintingChain
) -> None:
    body = named(household().reading())
    assert machine(Scope.MINT).post(MINT, body, headers=KEY).status_code == 202

    problem(machine(Scope.READ).post(MINT, body, headers=KEY), 403, "permission_denied")


def test_the_estimate_looks_at_no_key(minter: APIClient, minting_chain: MintingChain) -> None:
    path = f"{MINT}/estimate"
    for reading in (household().reading(), solar_farm().reading()):
        assert minter.post(path, named(reading), headers=KEY).status_code == 200
    assert not IdempotencyKey.objects.exists()


# ------------------------------------------------------------------ what is kept


def test_an_error_is_not_kept(minter: APIClient, minting_chain: MintingChain) -> None:
    reading = MeterReadingFactory(status="held", code="no_wallet")
    body = named(reading)
    problem(minter.post(MINT, body, headers=KEY), 422, "invalid_batch_data")
    assert not IdempotencyKey.objects.exists()

    MeterReading.objects.update(status="pending", code="")

    assert minter.post(MINT, body, headers=KEY).status_code == 202


def test_a_failure_of_ours_is_not_kept(minter: APIClient, minting_chain: MintingChain) -> None:
    body = named(household().reading())
    minter.raise_request_exception = False
    with patch(
        "minting.service.requests.prepare.inspect_or_recall", side_effect=NodeUnreachable("silent")
    ):
        problem(minter.post(MINT, body, headers=KEY), 503, "solana_error")
    with patch("minting.journal.open_batch", side_effect=ZeroDivisionError):
        problem(minter.post(MINT, body, headers=KEY), 500, "internal_error")
    assert not IdempotencyKey.objects.exists()

    assert minter.post(MINT, body, headers=KEY).status_code == 202


def test_a_refused_reading_is_not_kept(submitter: APIClient) -> None:
    body = submission(meter_serial="not there yet")
    problem(submitter.post(READINGS, body, headers=KEY), 404, "unknown_meter")

    MeterFactory(serial="not there yet")

    assert submitter.post(READINGS, body, headers=KEY).status_code == 201


def test_without_a_key_nothing_is_kept(
    machine: Callable[..., APIClient], minting_chain: MintingChain
) -> None:
    client, reading = machine(Scope.MINT, Scope.SUBMIT), household().reading()
    assert client.post(MINT, named(reading)).status_code == 202
    told = client.post(READINGS, submission(meter_serial=reading.meter.serial))
    assert told.status_code == 201
    assert not IdempotencyKey.objects.exists()


# ------------------------------------------------------------------ what is no key


@pytest.mark.parametrize("path", [MINT, READINGS, f"{READINGS}/{UUID(int=1)}/corrections"])
@pytest.mark.parametrize("key", ["", " ", "k" * 256, "schlüssel", "a\x00b", "a\tb", '"open', '""'])
def test_what_is_no_key_is_refused(machine: Callable[..., APIClient], path: str, key: str) -> None:
    client = machine(Scope.MINT, Scope.SUBMIT)
    reading = household().reading()

    answer = client.post(path, named(reading), headers={"Idempotency-Key": key})

    problem(answer, 400, "invalid_idempotency_key")
    assert not MintBatch.objects.exists()


def test_a_body_that_is_too_deep_is_refused(submitter: APIClient) -> None:
    for depth in (500, 900, 980, 5_000):
        body = b"[" * depth + b"]" * depth
        answer = submitter.post(READINGS, body, content_type="application/json", headers=KEY)
        assert answer.status_code in (200, 400)
    problem(answer, 400, "parse_error")
