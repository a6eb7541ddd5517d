"""The one handler: whatever is raised becomes a problem document (RFC 9457).

Every document has ``code``, and ``message`` beside ``detail``, because clients of the platform
read that name.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from math import ceil
from typing import Any

import structlog
from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import DisallowedHost
from django.core.exceptions import PermissionDenied as DjangoPermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.template import loader
from django.views import defaults
from rest_framework import exceptions
from rest_framework.response import Response

from gridtoken.away import DATABASE_AWAY
from gridtoken.web import FOR_MACHINES
from minting.api.errors import ApiError
from minting.engine.errors import (
    BatchTooLarge,
    BlockchainError,
    EmptyBatch,
    FeeEstimationDisabled,
    InsufficientFunds,
    InvalidBatchData,
    MintingRefused,
    MintingStopped,
    NothingToRetry,
    RateLimited,
    RpcRefused,
    SignerUnavailable,
    SolanaError,
    WalletRefused,
)
from readings.errors import (
    AlreadyRegistered,
    ConflictingReading,
    InvalidReading,
    ReadingError,
    ReadingInFlight,
    ReasonRequired,
    RegistryError,
    UnknownMeter,
    UnknownOwner,
    UnknownReading,
    WalletChangeConflict,
)

log = structlog.get_logger(__name__)

PROBLEM = "application/problem+json"

AGAIN = {"Retry-After": "5"}
"""Seconds after which it is worth asking a database that was away again."""


def _nothing(_error: Any) -> dict[str, Any]:
    return {}


@dataclass(frozen=True, slots=True)
class _Answer:
    """How one kind of error is told."""

    status: int
    members: Callable[[Any], dict[str, Any]] = _nothing
    code: str = ""
    """Where the public name is not the error's own."""


def _reading(error: Any) -> dict[str, Any]:
    return {"reading_id": str(error.reading_id)}


def _size(error: BatchTooLarge) -> dict[str, Any]:
    return {"size": error.size, "max_size": error.max_size}


def _items(error: InvalidBatchData) -> dict[str, Any]:
    return {
        "reason": error.reason,
        "items": [
            {"reading_id": str(item.reading_id), "code": item.code, "detail": item.detail}
            for item in error.items
        ],
    }


def _solana(status: int) -> _Answer:
    """The seed's name is the code; ours for the same, which says more, is the reason."""
    return _Answer(status, lambda error: {"reason": error.code}, SolanaError.code)


ANSWERS: Mapping[type[Exception], _Answer] = {
    EmptyBatch: _Answer(400),
    BatchTooLarge: _Answer(400, _size),
    InvalidBatchData: _Answer(422, _items),
    MintingRefused: _Answer(409),
    MintingStopped: _Answer(409),
    NothingToRetry: _Answer(409),
    InsufficientFunds: _Answer(409, lambda error: {"missing_lamports": error.missing}),
    FeeEstimationDisabled: _Answer(409),
    WalletRefused: _Answer(422),
    RpcRefused: _solana(502),
    SolanaError: _solana(503),
    SignerUnavailable: _Answer(503),
    BlockchainError: _Answer(500),
    InvalidReading: _Answer(400),
    UnknownMeter: _Answer(404),
    UnknownReading: _Answer(404, _reading),
    ConflictingReading: _Answer(409, _reading),
    ReadingInFlight: _Answer(409, _reading),
    ReasonRequired: _Answer(400),
    UnknownOwner: _Answer(404),
    AlreadyRegistered: _Answer(409, lambda error: {"id": str(error.row_id)}),
    WalletChangeConflict: _Answer(409),
    RegistryError: _Answer(422),
    ReadingError: _Answer(422),
}
"""By the most special class that is listed."""


def problem_handler(error: Exception, _context: Mapping[str, Any]) -> Response | None:
    """DRF's exception handler; ``None`` leaves what nobody raised on purpose to Django."""
    if isinstance(error, BlockchainError | ReadingError):
        answer = next(ANSWERS[kind] for kind in type(error).__mro__ if kind in ANSWERS)
        headers = (
            {"Retry-After": str(ceil(error.retry_after))} if isinstance(error, RateLimited) else {}
        )
        return _problem(
            answer.status, answer.code or error.code, str(error), answer.members(error), headers
        )
    if isinstance(error, Http404):
        error = exceptions.NotFound()
    elif isinstance(error, DjangoPermissionDenied):
        error = exceptions.PermissionDenied()
    if isinstance(error, DATABASE_AWAY):
        log.error("database_unavailable", reason=str(error).strip())
        return Response(database_unavailable(), 503, headers=AGAIN, content_type=PROBLEM)
    if not isinstance(error, exceptions.APIException):
        return None
    return _of_request(error)


def server_error(request: HttpRequest) -> HttpResponseBase:
    """Django's last answer, when something failed that nobody expected.

    Django calls it while it handles the exception, which tells a database that is away (on the
    way to a view, or on a page) from a fault of ours.
    """
    away = isinstance(error := sys.exception(), DATABASE_AWAY)
    if away:
        log.error("database_unavailable", reason=str(error).strip())
        # Whoever asks who it was would ask the database once more, and wait as long.
        request.user = AnonymousUser()
    if not _is_for_machines(request):
        return _closed_page() if away else defaults.server_error(request)
    if away:
        document, status, headers = database_unavailable(), 503, AGAIN
    else:
        document, status, headers = internal_error(), 500, {}
    return JsonResponse(document, status=status, content_type=PROBLEM, headers=headers)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    """Django's answer where no view is: a door that is closed, too."""
    if not _is_for_machines(request):
        return defaults.page_not_found(request, exception)
    sentence = f"There is nothing at {request.path}"
    return JsonResponse(_document(404, "not_found", sentence), status=404, content_type=PROBLEM)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    """Django's answer to what it does not even look at: a host's name that is none of ours."""
    if not _is_for_machines(request):
        return defaults.bad_request(request, exception)
    known = isinstance(exception, DisallowedHost)
    sentence = "The host that is named is not served here" if known else "This cannot be read"
    document = _document(400, "invalid_request", sentence)
    return JsonResponse(document, status=400, content_type=PROBLEM)


def _is_for_machines(request: HttpRequest) -> bool:
    return request.path.startswith(FOR_MACHINES)


def _closed_page() -> HttpResponse:
    """For people, made without asking the database anything: no request, no context processors."""
    return HttpResponse(loader.render_to_string("503.html"), status=503, headers=AGAIN)


def database_unavailable() -> dict[str, Any]:
    """The document of what could not be done, or not be seen to be done, for want of a database."""
    return _document(
        503,
        "database_unavailable",
        "The database does not answer now. Repeat the request: with the same Idempotency-Key "
        "nothing happens twice.",
    )


def internal_error() -> dict[str, Any]:
    """The document of what failed without anybody expecting it."""
    return _document(500, "internal_error", "Something failed on our side; it is in our logs.")


def _of_request(error: exceptions.APIException) -> Response:
    """What DRF or our views say about the request itself."""
    headers = {}
    if challenge := getattr(error, "auth_header", None):
        headers["WWW-Authenticate"] = challenge
    if wait := getattr(error, "wait", None):
        headers["Retry-After"] = str(ceil(wait))
    if isinstance(error, exceptions.ValidationError):
        members = {"errors": error.detail}
        return _problem(400, "invalid_request", _sentence(error.detail), members, headers)
    members = error.members if isinstance(error, ApiError) else {}
    return _problem(error.status_code, str(error.get_codes()), str(error.detail), members, headers)


def _sentence(detail: Any, path: str = "") -> str:
    """The first thing that is wrong, with the way to it: ``reading_ids.3: Must be …``."""
    if isinstance(detail, Mapping):
        key, value = next(iter(detail.items()))
        return _sentence(value, f"{path}.{key}" if path else str(key))
    if isinstance(detail, list):
        # A list item without errors is an empty object.
        at, value = next(((at, each) for at, each in enumerate(detail) if each), (0, ""))
        return _sentence(value, f"{path}.{at}" if isinstance(value, Mapping) else path)
    return f"{path}: {detail}" if path and path != "non_field_errors" else str(detail)


def _problem(
    status: int, code: str, detail: str, members: Mapping[str, Any], headers: Mapping[str, str]
) -> Response:
    return Response(
        {**_document(status, code, detail), **members},
        status=status,
        headers=dict(headers),
        content_type=PROBLEM,
    )


def _document(status: int, code: str, detail: str) -> dict[str, Any]:
    return {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "code": code,
        "detail": detail,
        "message": detail,
    }
