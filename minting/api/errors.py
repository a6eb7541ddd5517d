"""What only the API refuses, as one tree; all else is raised by ``engine`` and ``readings``.

::

    ApiError                  code, status, members
    ├── InvalidRequest        invalid_request      400
    ├── TooManyReadings       too_many_readings    400   size, max_size
    ├── BodyTooLarge          body_too_large       413   max_bytes
    ├── UnknownBatch          unknown_batch        404   batch_id
    ├── BatchFinished         batch_finished       409   batch_status
    ├── InvalidIdempotencyKey     invalid_idempotency_key      400
    ├── IdempotencyKeyReused      idempotency_key_reused       422
    └── IdempotencyKeyInProgress  idempotency_key_in_progress  409   (Retry-After)
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from rest_framework.exceptions import APIException


class ApiError(APIException):
    """Root; ``members`` are told besides code and sentence."""

    def __init__(self, detail: str, **members: Any) -> None:
        super().__init__(detail)
        self.members = members


class InvalidRequest(ApiError):
    """The request's form is wrong: a parameter, or the kind of its body."""

    status_code = 400
    default_code = "invalid_request"


class TooManyReadings(ApiError):
    """More readings in one body than are taken at once."""

    status_code = 400
    default_code = "too_many_readings"

    def __init__(self, size: int, max_size: int) -> None:
        super().__init__(
            f"{size} readings in one request, at most {max_size} are taken",
            size=size,
            max_size=max_size,
        )


class BodyTooLarge(ApiError):
    """More bytes than a body may have."""

    status_code = 413
    default_code = "body_too_large"

    def __init__(self, max_bytes: int) -> None:
        super().__init__(f"The body is larger than {max_bytes} bytes", max_bytes=max_bytes)


class UnknownBatch(ApiError):
    """No batch has this id."""

    status_code = 404
    default_code = "unknown_batch"

    def __init__(self, batch_id: UUID) -> None:
        super().__init__(f"There is no batch {batch_id}", batch_id=str(batch_id))


class BatchFinished(ApiError):
    """Nothing is left to be cancelled."""

    status_code = 409
    default_code = "batch_finished"

    def __init__(self, status: str) -> None:
        super().__init__(
            f"The batch is finished ({status}): nothing is left to cancel", batch_status=status
        )


class InvalidIdempotencyKey(ApiError):
    """The header has no form that a key may have."""

    status_code = 400
    default_code = "invalid_idempotency_key"

    def __init__(self, reason: str) -> None:
        super().__init__(f"Idempotency-Key cannot be taken: {reason}")


class IdempotencyKeyReused(ApiError):
    """The key named another request."""

    status_code = 422
    default_code = "idempotency_key_reused"

    def __init__(self) -> None:
        super().__init__(
            "This Idempotency-Key named a request with another body or address; nothing was done"
        )


class IdempotencyKeyInProgress(ApiError):
    """The first request with this key has not done yet what it does."""

    status_code = 409
    default_code = "idempotency_key_in_progress"
    wait = 1
    """Seconds, for ``Retry-After``."""

    def __init__(self) -> None:
        super().__init__("The first request with this Idempotency-Key still runs; ask again")
