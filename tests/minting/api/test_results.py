"""``GET mint-results``, and the filters of batches and their results."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Q
from rest_framework.test import APIClient

from minting.access.scopes import Scope
from minting.engine.states import ResultStatus
from minting.journal.results import move_results
from minting.models import MintBatch, MintResult, MintTransaction
from readings.models import MeterReading
from tests.factories.readings import MeterReadingFactory, household
from tests.minting.api.history import queued_batch
from tests.minting.api.test_batches import fail
from tests.minting.conftest import MintingChain

pytestmark = pytest.mark.django_db

RESULTS = "/api/v1/mint-results"
BATCHES = "/api/v1/mint-batches"


def ids(client: APIClient, path: str, **query: Any) -> list[str]:
    answer = client.get(path, query)
    assert answer.status_code == 200, answer.content
    return [each.get("reading_id") or each["id"] for each in answer.json()["results"]]


def test_what_was_paid_is_found_by_reading_wallet_and_signature(
    machine: Callable[..., APIClient], minting_chain: MintingChain, drain: Callable[[], None]
) -> None:
    client = machine(Scope.READ, Scope.MINT)
    house = household()
    mine, other = house.reading(), MeterReadingFactory()
    body = {"reading_ids": [str(mine.id), str(other.id)]}
    batch = client.post("/api/v1/mint-batch", body).json()["id"]
    drain()
    result = MintResult.objects.get(reading=mine)

    (told,) = client.get(RESULTS, {"reading": str(mine.id)}).json()["results"]
    assert told == {
        "id": str(result.id),
        "reading_id": str(mine.id),
        "batch_id": batch,
        "owner": "anong",
        "wallet_address": house.wallet.address,
        "kwh_amount": "0.250000000",
        "base_units": "250000000",
        "success": True,
        "status": result.status,
        "error": None,
        "error_code": None,
        "tx_signature": result.tx_signature,
        "slot": result.slot,
        "settled_at": told["settled_at"],
    }
    assert ids(client, RESULTS, wallet=house.wallet.address) == [str(mine.id)]
    assert set(ids(client, RESULTS, signature=result.tx_signature)) == set(body["reading_ids"])
    assert ids(client, RESULTS, signature=result.tx_signature, wallet=house.wallet.address) == [
        str(mine.id)
    ]
    assert ids(client, RESULTS, signature="none of ours") == []
    assert ids(client, RESULTS, status="pending") == []
    assert len(ids(client, RESULTS, batch=batch)) == 2
    assert len(ids(client, RESULTS)) == 2


def test_a_transaction_tells_what_it_would_have_paid_after_it_died() -> None:
    batch = queued_batch([MeterReadingFactory() for _ in range(3)])
    released, _ = MeterReading.objects.order_by("id")[:2]
    MintTransaction.objects.create(
        batch=batch,
        slice=batch.slices.get(),
        status="expired",
        signature="dead",
        raw=b"",
        version="v0",
        genesis_hash=batch.genesis_hash,
        mint_address=batch.mint_address,
        fee_payer="payer",
        blockhash="hash",
        blockhash_slot=1,
        last_valid_block_height=1,
        memo_root=b"",
        reading_ids=[released.id],
        base_units=1,
        network_fee_lamports=5_000,
        evidence={},
    )
    client = APIClient()
    client.force_login(User.objects.create_superuser("auditor"))

    assert ids(client, RESULTS, signature="dead") == [str(released.id)]


def test_results_of_a_batch_by_how_they_ended(reader: APIClient) -> None:
    batch = queued_batch([MeterReadingFactory() for _ in range(3)])
    first, second, third = MintResult.objects.order_by("reading_id").values_list(
        "reading_id", flat=True
    )
    fail(first)
    with transaction.atomic():
        move_results(
            Q(reading=second),
            old={ResultStatus.PENDING},
            new=ResultStatus.CANCELLED,
            code="cancelled",
            reason="by a person",
        )
    path = f"{BATCHES}/{batch.id}/results"

    assert ids(reader, path, status="failed") == [str(first)]
    assert ids(reader, path, error_code="cancelled") == [str(second)]
    assert ids(reader, path, success="false") == [str(first), str(second)]
    assert ids(reader, path, success="true") == []
    assert ids(reader, path, ordering="-reading_id")[0] == str(third)


def test_batches_by_who_when_and_how(reader: APIClient) -> None:
    made = [queued_batch([MeterReadingFactory()]) for _ in range(4)]
    old, failed, retry, mine = made
    start = old.created_at
    fail(MintResult.objects.get(batch=failed).reading_id)
    MintBatch.objects.filter(id=old.id).update(created_at=start - timedelta(days=2))
    MintBatch.objects.filter(id=retry.id).update(source="retry", retry_of=failed)
    MintBatch.objects.filter(id=mine.id).update(created_by=User.objects.get(username="machine"))
    failed.refresh_from_db()

    def found(**query: Any) -> list[MintBatch]:
        by_id = {str(batch.id): batch for batch in made}
        return [by_id[id_] for id_ in ids(reader, BATCHES, **query)]

    assert found() == [mine, retry, failed, old]
    assert found(ordering="created_at") == [old, failed, retry, mine]
    assert found(status="failed") == [failed]
    assert found(source="retry") == [retry]
    assert found(retry_of=failed.id) == [retry]
    assert found(created_by="machine") == [mine]
    assert found(created_by="nobody") == []
    assert found(created_before=(start - timedelta(days=1)).isoformat()) == [old]
    after = failed.created_at.isoformat()
    assert found(created_after=after, ordering="created_at") == [failed, retry, mine]
    assert found(created_after=after, status="queued") == [mine, retry]
    page = reader.get(BATCHES, {"page_size": 3}).json()
    assert len(page["results"]) == 3
    assert [each["id"] for each in reader.get(page["next"]).json()["results"]] == [str(old.id)]
    assert len(reader.get(BATCHES, {"page_size": 99_999}).json()["results"]) == 4
