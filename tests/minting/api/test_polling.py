"""Polling a batch: ETags that change with the state, and when to ask again."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import pytest
from django.db.models import Q
from django.utils import timezone
from rest_framework.test import APIClient

from minting.api.conditional import retry_after
from minting.engine.states import BatchStatus, ResultStatus
from minting.models import MintBatch, MintResult
from tests.factories.readings import MeterReadingFactory
from tests.minting.api.asserts import problem
from tests.minting.api.history import queued_batch
from tests.minting.api.test_batches import fail

pytestmark = pytest.mark.django_db


def test_a_state_is_told_once(reader: APIClient) -> None:
    batch = queued_batch([MeterReadingFactory() for _ in range(2)])
    path = f"/api/v1/mint-batches/{batch.id}"

    first = reader.get(path)
    etag = first["ETag"]
    assert etag.startswith('W/"')
    assert first["Cache-Control"] == "private, no-cache"
    assert first["Retry-After"] == "1"
    for known in (etag, etag.removeprefix("W/"), f'"x", {etag}', "*"):
        again = reader.get(path, headers={"If-None-Match": known})
        assert (again.status_code, again.content) == (304, b"")
        assert (again["ETag"], again["Retry-After"]) == (etag, "1")
    assert reader.get(path, headers={"If-None-Match": '"other"'}).json() == first.json()


def test_whatever_the_description_tells_changes_its_name(reader: APIClient) -> None:
    batch = queued_batch([MeterReadingFactory() for _ in range(2)])
    path = f"/api/v1/mint-batches/{batch.id}"
    seen = [reader.get(path)["ETag"]]

    def changed() -> bool:
        answer = reader.get(path, headers={"If-None-Match": seen[-1]})
        seen.append(answer["ETag"])
        return answer.status_code == 200 and len(set(seen)) == len(seen)

    other = queued_batch([MeterReadingFactory()])
    MintBatch.objects.filter(id=other.id).update(fee_paid_lamports=1)
    assert reader.get(path, headers={"If-None-Match": seen[-1]}).status_code == 304
    fail(MintResult.objects.filter(batch=batch).first().reading_id)
    assert changed()  # counts
    # Within one transaction, as a test is, a second change of the same row keeps its xmin.
    MintResult.objects.filter(batch=batch, status="pending").update(error="slow")
    assert changed()  # a result alone


def test_a_batch_that_is_none_has_no_etag(reader: APIClient) -> None:
    answer = reader.get(f"/api/v1/mint-batches/{uuid4()}", headers={"If-None-Match": "*"})
    problem(answer, 404, "unknown_batch")
    assert "ETag" not in answer


def test_when_to_ask_again_follows_the_batch_s_own_pace() -> None:
    now = timezone.now()

    def told(seconds: float, *, total: int = 10, done: int = 0, **extra: object) -> int | None:
        return retry_after(
            MintBatch(
                created_at=now - timedelta(seconds=seconds),
                total_readings=total,
                successful_mints=done,
                **extra,
            ),
            now,
        )

    assert told(0) == 1
    assert told(20) == 5  # nobody has taken it: less and less often
    assert told(10_000) == 30
    assert told(10, total=100, done=50) == 10
    assert told(10, total=100, done=99) == 1
    assert told(60, status=BatchStatus.AWAITING_APPROVAL) == 60
    assert told(60, done=10, status=BatchStatus.SUCCEEDED) is None


def test_a_final_batch_needs_no_other_look(reader: APIClient) -> None:
    batch = queued_batch([MeterReadingFactory()])
    fail(MintResult.objects.get().reading_id)
    answer = reader.get(f"/api/v1/mint-batches/{batch.id}")
    assert answer.json()["status"] == "failed"
    assert "Retry-After" not in answer
    assert MintResult.objects.filter(Q(status=ResultStatus.FAILED)).count() == 1
