"""Whatever is sent, the answer is a problem with a stable code, and nothing is stored."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from django.test import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rest_framework.test import APIClient

from minting.access.models import ApiToken
from minting.access.scopes import Scope
from minting.api.catalogue import PROBLEMS
from minting.models import MintBatch
from readings.models import MeterReading
from tests.minting.api.asserts import problem

pytestmark = pytest.mark.django_db

SOME = UUID(int=7)
BODIES = [
    "/api/v1/mint-batch",
    "/api/v1/mint-batch/estimate",
    "/api/v1/readings",
    f"/api/v1/readings/{SOME}/corrections",
]
NO_JSON: dict[str, bytes] = {
    "NaN": b'{"kwh_amount": NaN}',
    "Infinity": b'{"kwh_amount": -Infinity}',
    "garbage behind": b'{"reading_ids": []} x',
    "two documents": b"{}{}",
    "cut off": b'{"reading_ids": [',
    "single quotes": b"{'a': 1}",
    "not UTF-8": b'{"a": "\xff"}',
    "UTF-16": '{"a": 1}'.encode("utf-16"),
    "a NUL": b'{"a": "\x00"}',
    "an escaped NUL": b'{"meter_serial": "a\\u0000b"}',
    "half a surrogate": b'[{"meter_serial": "\\ud800"}]',
    "half of one in a name": b'{"\\udc00": 1}',
    "a name twice": b'{"meter_serial": "A", "meter_serial": "B"}',
    "too deep": b"[" * 100_000 + b"]" * 100_000,
    "a number of 5,000 digits": b'{"kwh_amount": ' + b"9" * 5_000 + b"}",
}


@pytest.fixture
def mighty(machine: Callable[..., APIClient]) -> APIClient:
    return machine(*Scope)


@pytest.mark.parametrize("kind", NO_JSON)
def test_what_is_no_json_is_told_as_such(mighty: APIClient, kind: str) -> None:
    for path in BODIES:
        answer = mighty.post(path, NO_JSON[kind], content_type="application/json")

        problem(answer, 400, "parse_error")


@pytest.mark.parametrize("path", BODIES)
def test_what_says_to_be_something_else_is_not_read(mighty: APIClient, path: str) -> None:
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "x"):
        problem(mighty.post(path, b"{}", content_type=kind), 415, "unsupported_media_type")
    problem(
        mighty.post(path, b" " * 2_700_000, content_type="application/json"), 413, "body_too_large"
    )
    assert mighty.post(path, {}, HTTP_ACCEPT="image/png").status_code == 406


@pytest.mark.parametrize(
    "amount",
    ["1e999999999", "-1e999999999", "1e-999999999", "9" * 4_000, "1" + "0" * 400, "true", "[]"],
)
def test_no_number_is_too_odd(mighty: APIClient, amount: str) -> None:
    body = (
        '{"meter_serial": "M", "period_start": "2026-11-23T10:00:00Z", '
        f'"period_end": "2026-11-23T10:15:00Z", "kwh_amount": {amount}}}'
    )
    for path in (BODIES[2], BODIES[3]):
        answer = mighty.post(path, body.encode(), content_type="application/json")
        told = problem(answer, answer.status_code, answer.json()["code"])
        assert told["code"] in {"invalid_reading", "unknown_meter", "unknown_reading"}
    assert not MeterReading.objects.exists()


@pytest.mark.parametrize("ordering", ["id", "created_at,id", "-", "\x00", "--created_at"])
def test_no_parameter_is_too_odd(mighty: APIClient, ordering: str) -> None:
    for path in ("mint-batches", "mint-results", "readings"):
        problem(mighty.get(f"/api/v1/{path}", {"ordering": ordering}), 400, "invalid_request")
        for query in (
            {"cursor": "\x00"},
            {"cursor": "W10"},
            {"page_size": "1e3"},
            {"page_size": "٣"},
            {"status": "\x00"},
        ):
            problem(mighty.get(f"/api/v1/{path}", query), 400, "invalid_request")
    for name in ("reading", "batch"):
        answer = mighty.get("/api/v1/mint-results", {name: "x"})
        assert name in problem(answer, 400, "invalid_request")["errors"]
    for name in ("signature", "wallet"):
        problem(mighty.get("/api/v1/mint-results", {name: "\x00"}), 400, "invalid_request")
        assert mighty.get("/api/v1/mint-results", {name: "日本"}).json()["results"] == []
    problem(mighty.get("/api/v1/mint-batches", {"created_after": "soon"}), 400, "invalid_request")


@pytest.mark.parametrize("value", ["\0", "\ud800", "a\0b", 10**400, None, [], "9999-12-31T23:59Z"])
def test_no_cursor_is_too_odd(mighty: APIClient, value: Any) -> None:
    for path, ordering in (
        ("owners", "user_id"),
        ("meters", "-serial"),
        ("readings", "period_end"),
    ):
        fields = [ordering, False, value, str(SOME)]
        cursor = urlsafe_b64encode(json.dumps(fields).encode()).decode()
        answer = mighty.get(f"/api/v1/{path}", {"ordering": ordering, "cursor": cursor})
        if answer.status_code != 200:
            problem(answer, 400, "invalid_request")


# JSON as a fuzzer, a bug or a stranger may make it; names of ours among any others.
NAMES = st.sampled_from(
    ["reading_ids", "meter_serial", "kwh_amount", "period_start", "period_end", "reason"]
) | st.text(max_size=5)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20)
    | st.sampled_from(["2026-11-23T10:00:00Z", "0001-01-01T00:00:00+14:00", "1e400", str(SOME)]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=6),
    max_leaves=12,
)


@settings(
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(body=JSON, path=st.sampled_from(BODIES), keyed=st.booleans())
def test_any_json_has_an_answer(mighty: APIClient, body: Any, path: str, keyed: bool) -> None:
    headers = {"Idempotency-Key": "k"} if keyed else {}
    sent = json.dumps(body).encode()

    answer = mighty.post(path, sent, content_type="application/json", headers=headers)

    assert answer.status_code in {200, 400, 404, 409, 422}, answer.content
    if answer.status_code != 200:
        assert answer["Content-Type"] == "application/problem+json"
        assert answer.json()["code"] in PROBLEMS
    assert not MintBatch.objects.exists()
    assert not MeterReading.objects.exists()


def test_ids_that_are_none_are_no_address(mighty: APIClient) -> None:
    for path in ("mint-batches/x", "readings/1", f"mint-batches/{SOME}/resultss", "no/such"):
        problem(mighty.get(f"/api/v1/{path}"), 404, "not_found")


def test_a_form_with_a_session_is_no_body_either(admin_client: Client) -> None:
    answer = admin_client.post("/api/v1/mint-batch", {"reading_ids": str(SOME)})

    problem(answer, 415, "unsupported_media_type")
    assert not ApiToken.objects.exists()
