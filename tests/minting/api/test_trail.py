"""The trail of calls that spend."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from unittest.mock import patch
from uuid import UUID

import pytest
from django.contrib.auth.models import User
from django.db import DatabaseError
from django.db.models import F
from django.test import Client
from rest_framework.test import APIClient

from minting.access.models import ApiCall, ApiToken
from minting.access.scopes import Scope
from minting.models import MintBatch
from minting.tasks import forget_calls
from tests.factories.readings import MeterReadingFactory
from tests.minting.api.history import queued_batch
from tests.minting.conftest import MintingChain

pytestmark = pytest.mark.django_db

MINT = "/api/v1/mint-batch"


def test_a_call_that_spends_is_kept_with_its_effect_and_its_answer(
    minter: APIClient, minting_chain: MintingChain
) -> None:
    body = {"reading_ids": [str(MeterReadingFactory().id)]}
    headers = {"Idempotency-Key": "monday"}

    first = minter.post(MINT, body, headers=headers, REMOTE_ADDR="192.0.2.7")
    again = minter.post(MINT, body, headers=headers, REMOTE_ADDR="garbage")
    refused = minter.post(MINT, body)
    cancelled = minter.post(f"/api/v1/mint-batches/{first.json()['id']}/cancel")

    assert [each.status_code for each in (first, again, refused, cancelled)] == [
        202,
        202,
        422,
        200,
    ]
    batch, token = MintBatch.objects.get(), ApiToken.objects.get()
    kept = ApiCall.objects.order_by("id")
    assert [(each.endpoint, each.effect, each.status, each.code, each.batch) for each in kept] == [
        ("mint-batch", True, 202, "", batch),
        ("mint-batch", False, 202, "", batch),
        ("mint-batch", False, 422, "invalid_batch_data", None),
        ("mint-batch-cancel", True, 200, "", batch),
    ]
    assert [each.address for each in kept[:2]] == ["192.0.2.7", None]
    assert {(each.username, each.token, each.token_beginning) for each in kept} == {
        ("machine", token, token.beginning)
    }
    assert kept[0].idempotency_key == "monday"
    assert kept[2].detail.startswith("Invalid batch data")
    assert len(token.beginning) == 8


def test_nothing_is_kept_of_what_was_rolled_back_but_that_it_was_tried(
    minter: APIClient, minting_chain: MintingChain
) -> None:
    minter.raise_request_exception = False
    body = {"reading_ids": [str(MeterReadingFactory().id)]}

    with patch("minting.journal.open_batch", side_effect=ZeroDivisionError):
        assert minter.post(MINT, body).status_code == 500
    assert not ApiCall.objects.filter(effect=True).exists()

    with patch("minting.access.trail._note_answer", side_effect=DatabaseError):
        assert minter.post(MINT, body).status_code == 202
    call = ApiCall.objects.get(effect=True)
    assert (call.batch, call.status) == (MintBatch.objects.get(), None)


def test_who_is_refused_is_named_and_who_only_looks_is_not(
    machine: Callable[..., APIClient], admin_client: Client
) -> None:
    reader = machine(Scope.READ)
    path = f"/api/v1/readings/{UUID(int=7)}/mint"
    assert reader.post(path).status_code == 403
    assert reader.get("/api/v1/mint-batches").status_code == 200
    assert APIClient().post(path).status_code == 401
    assert admin_client.post(path, headers={"Idempotency-Key": "\x07"}).status_code == 404

    assert list(ApiCall.objects.order_by("id").values_list("username", "status", "code")) == [
        ("machine", 403, "permission_denied"),
        ("admin", 404, "unknown_reading"),
    ]
    assert ApiCall.objects.filter(token=None, token_beginning="").count() == 1


def test_refused_calls_are_forgotten_and_effects_are_not() -> None:
    user = User.objects.create_user("machine")
    batch = queued_batch([MeterReadingFactory()])
    common = {"username": "machine", "user": user, "endpoint": "mint-batch", "path": MINT}
    ApiCall.objects.create(effect=True, batch=batch, status=202, **common)
    ApiCall.objects.create(effect=False, status=422, **common)
    assert forget_calls()["calls"] == 0

    ApiCall.objects.update(at=F("at") - timedelta(days=91))

    assert forget_calls()["calls"] == 1
    assert ApiCall.objects.get().effect
    user.delete()
    assert ApiCall.objects.get().username == "machine"
