"""Every error has one form, and every error of ours has an answer."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

import pytest
from django.core.exceptions import PermissionDenied
from django.core.handlers.exception import convert_exception_to_response
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.test import Client, RequestFactory
from rest_framework import exceptions

from minting.api.problems import ANSWERS, problem_handler, server_error
from minting.engine import errors as engine
from readings import errors as readings
from tests.minting.api.asserts import problem

SOME = UUID("00000000-0000-4000-8000-000000000001")


def told(error: Exception) -> tuple[int, dict[str, Any], Any]:
    response = problem_handler(error, {})
    assert response is not None
    assert response.content_type == "application/problem+json"
    assert response.data["status"] == response.status_code
    assert response.data["detail"] == response.data["message"]
    return response.status_code, response.data, response


@pytest.mark.parametrize(
    ("error", "status", "code", "members"),
    [
        (engine.EmptyBatch(), 400, "empty_batch", {}),
        (engine.BatchTooLarge(51, 50), 400, "batch_too_large", {"size": 51, "max_size": 50}),
        (
            engine.InvalidBatchData("bad", [engine.InvalidItem(SOME, "held", "why")]),
            422,
            "invalid_batch_data",
            {
                "reason": "bad",
                "items": [{"reading_id": str(SOME), "code": "held", "detail": "why"}],
            },
        ),
        (engine.MintingRefused("no"), 409, "minting_refused", {}),
        (engine.InsufficientFunds(7), 409, "insufficient_funds", {"missing_lamports": 7}),
        (engine.NodeUnreachable("no"), 503, "solana_error", {"reason": "node_unreachable"}),
        (engine.RpcRefused(-32000, "no"), 502, "solana_error", {"reason": "rpc_refused"}),
        (engine.SolanaError("no"), 503, "solana_error", {"reason": "solana_error"}),
        (engine.WalletRefused("off_curve", "no"), 422, "off_curve", {}),
        (engine.VerificationFailed("no"), 500, "verification_failed", {}),
        (readings.ConflictingReading(SOME), 409, "conflict", {"reading_id": str(SOME)}),
        (readings.InvalidWallet("no"), 422, "invalid_wallet", {}),
        (Http404("x"), 404, "not_found", {}),
        (PermissionDenied("x"), 403, "permission_denied", {}),
        (exceptions.MethodNotAllowed("PUT"), 405, "method_not_allowed", {}),
    ],
)
def test_errors_and_their_answers(
    error: Exception, status: int, code: str, members: dict[str, Any]
) -> None:
    answered, document, _ = told(error)

    assert (answered, document["code"]) == (status, code)
    standard = {"type", "title", "status", "code", "detail", "message"}
    assert {name: document[name] for name in set(document) - standard} == members


def test_who_asks_too_often_is_told_when_to_come_back() -> None:
    _, document, response = told(engine.RateLimited(1.2))
    assert response.headers["Retry-After"] == "2"
    assert document["reason"] == "rate_limited"

    assert told(exceptions.Throttled(3))[2].headers["Retry-After"] == "3"


def test_a_nested_complaint_is_one_sentence() -> None:
    complaint = {"reading_ids": {3: ["Must be a valid UUID."]}}
    _, document, _ = told(exceptions.ValidationError(complaint))  # type: ignore[arg-type]

    assert document["detail"] == "reading_ids.3: Must be a valid UUID."
    assert document["code"] == "invalid_request"
    assert document["errors"] == complaint


def test_bugs_are_left_to_django() -> None:
    assert problem_handler(RuntimeError("a bug"), {}) is None


def test_a_bug_is_a_problem_for_machines_and_a_page_for_people() -> None:
    answer = server_error(RequestFactory().get("/api/v1/readings"))
    assert answer.status_code == 500
    assert isinstance(answer, JsonResponse)
    assert json.loads(answer.content)["code"] == "internal_error"

    assert server_error(RequestFactory().get("/admin/"))["Content-Type"].startswith("text/html")


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/api/nothing", "/v1/ingest/nothing", "/api/meters/nothing/"])
def test_what_no_view_answers_is_a_problem_too(client: Client, path: str) -> None:
    """With the doors closed their clients still read ``message``."""
    problem(client.get(path), 404, "not_found")
    problem(client.post(path, HTTP_HOST="elsewhere.example"), 400, "invalid_request")
    assert client.get("/nothing")["Content-Type"].startswith("text/html")
    answer = server_error(RequestFactory().get("/v1/ingest/telemetry"))
    assert answer["Content-Type"] == "application/problem+json"


def test_roots_are_listed_so_that_every_error_has_an_answer() -> None:
    assert engine.BlockchainError in ANSWERS
    assert readings.ReadingError in ANSWERS


def test_a_database_that_is_away_is_no_fault_of_ours(caplog: pytest.LogCaptureFixture) -> None:
    answer = problem_handler(OperationalError("connection refused"), {})
    assert answer is not None
    assert (answer.status_code, answer.data["code"]) == (503, "database_unavailable")
    assert answer.headers["Retry-After"] == "5"
    assert "refused" not in str(answer.data), "what PostgreSQL says is for the log"

    for path, words in (("/api/v1/readings", "Idempotency-Key"), ("/admin/", "asks again")):
        told = convert_exception_to_response(_database_closed)(RequestFactory().get(path))
        assert (told.status_code, told.headers["Retry-After"]) == (503, "5")
        assert words in told.content.decode()
    assert "Traceback" not in caplog.text


def _database_closed(_request: HttpRequest) -> HttpResponse:
    raise InterfaceError("connection already closed")
