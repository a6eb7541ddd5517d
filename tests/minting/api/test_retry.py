"""Retry by API: a new batch of what failed and may be minted."""

from __future__ import annotations

from uuid import uuid4

import pytest
from django.db import transaction
from django.db.models import Q
from rest_framework.test import APIClient

from minting.engine.states import ResultStatus
from minting.journal.results import move_results
from minting.models import MintBatch
from minting.service.stopping import stop_minting
from tests.factories.readings import household, solar_farm
from tests.minting.api.history import queued_batch
from tests.minting.conftest import minting_chain

__all__ = ["minting_chain"]

pytestmark = pytest.mark.django_db(transaction=True)


def failed_batch() -> MintBatch:
    """Of two readings; one failed for good, the other was cancelled."""
    failed, cancelled = household().reading(), solar_farm().reading()
    batch = queued_batch([failed, cancelled])
    with transaction.atomic():
        for reading, status in (
            (failed, ResultStatus.FAILED),
            (cancelled, ResultStatus.CANCELLED),
        ):
            move_results(
                Q(batch=batch, reading=reading),
                old={ResultStatus.PENDING},
                new=status,
                code="node_unreachable",
                reason="No node answered",
            )
    return batch


def address(batch_id: object) -> str:
    return f"/api/v1/mint-batches/{batch_id}/retry"


def test_what_failed_makes_a_new_batch(minting_chain, minter: APIClient):
    batch = failed_batch()

    answer = minter.post(address(batch.id))

    told = answer.json()
    assert answer.status_code == 202
    assert answer.headers["Location"].endswith(f"/api/v1/mint-batches/{told['id']}")
    assert (told["source"], told["retry_of"]) == ("retry", str(batch.id))
    assert (told["status"], told["total_readings"]) == ("queued", 1)
    assert minter.get(f"/api/v1/mint-batches/{batch.id}").json()["failed_mints"] == 2


def test_waited_for_it_is_answered_with_its_results(minting_chain, minter, drain, monkeypatch):
    monkeypatch.setattr("minting.service.nudges.call_workers", lambda _batch: None)
    monkeypatch.setattr(
        "minting.api.answers.wait_for", lambda batch, _seconds: _after(batch, drain)
    )

    answer = minter.post(address(failed_batch().id), headers={"Prefer": "wait=20"})

    assert answer.status_code == 200
    assert answer.json()["status"] == "succeeded"
    assert minting_chain.supply() == 250_000_000


def _after(batch: MintBatch, drain) -> MintBatch:
    drain()
    batch.refresh_from_db()
    return batch


def test_a_second_call_finds_nothing_to_retry(minting_chain, minter: APIClient):
    batch = failed_batch()
    minter.post(address(batch.id))

    answer = minter.post(address(batch.id))

    assert (answer.status_code, answer.json()["code"]) == (409, "nothing_to_retry")
    assert MintBatch.objects.filter(retry_of=batch).count() == 1


def test_no_such_batch(minter: APIClient):
    answer = minter.post(address(uuid4()))
    assert (answer.status_code, answer.json()["code"]) == (404, "unknown_batch")


def test_only_with_the_scope(reader: APIClient, submitter: APIClient):
    batch = failed_batch()
    for client in (reader, submitter):
        assert client.post(address(batch.id)).status_code == 403
    assert not MintBatch.objects.filter(retry_of=batch).exists()


def test_while_minting_is_stopped_it_queues_and_waits(minting_chain, minter: APIClient):
    stop_minting("audit", by="operator")
    assert minter.post(address(failed_batch().id)).status_code == 202
