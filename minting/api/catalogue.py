"""Every problem that the API tells, by its code, as the one handler tells it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from rest_framework import exceptions

from minting.access.permissions import HasScope
from minting.api import errors as api
from minting.api.doors import errors as doors
from minting.api.problems import database_unavailable, internal_error, problem_handler
from minting.engine import errors as engine
from readings import errors as readings

READING = UUID("6c1f7a52-6a0e-4d3b-9a0b-0d0f4b6b7a11")
OTHER_READING = UUID("9ab0c3de-5d7e-4a55-8f0e-2f6a1c9d4e22")
BATCH = UUID("019ab8e4-7c1d-7e0a-b1c2-3d4e5f60718a")

_ERRORS: tuple[Exception, ...] = (
    api.InvalidRequest("page_size is a whole number from 1"),
    exceptions.ParseError("The body is not JSON: Expecting value: line 1 column 1 (char 0)"),
    readings.InvalidReading("meter_serial, period_start must be given"),
    api.InvalidIdempotencyKey("It is empty"),
    readings.ReasonRequired("Releasing readings"),
    api.TooManyReadings(1_001, 1_000),
    engine.EmptyBatch(),
    engine.BatchTooLarge(51, 50),
    exceptions.NotAuthenticated(),
    exceptions.AuthenticationFailed("Invalid token."),
    exceptions.PermissionDenied(HasScope.message),
    readings.UnknownMeter("METER-9"),
    readings.UnknownReading(READING),
    api.UnknownBatch(BATCH),
    exceptions.NotFound("There is nothing at /api/v1/meter"),
    exceptions.MethodNotAllowed("PUT"),
    exceptions.NotAcceptable(),
    readings.ConflictingReading(READING),
    readings.ReadingInFlight(READING),
    api.IdempotencyKeyInProgress(),
    api.BatchFinished("succeeded"),
    engine.GateClosed("The chain holds mints that the journal does not explain: reconcile first"),
    engine.MintingRefused("ENERGY_TOKEN_MINT is not set: it names the mint"),
    engine.MintingStopped("the node is being replaced"),
    engine.NothingToRetry(),
    engine.InsufficientFunds(2_039_280),
    engine.FeeEstimationDisabled(),
    api.BodyTooLarge(2_621_440),
    exceptions.UnsupportedMediaType("text/plain"),
    engine.InvalidBatchData(
        "1 of 2 readings cannot be minted",
        [engine.InvalidItem(OTHER_READING, "already_minted", "This reading is minted.")],
    ),
    api.IdempotencyKeyReused(),
    readings.UnknownOwner("user-9"),
    readings.AlreadyRegistered("Meter", "METER-1", READING),
    readings.WalletChangeConflict("the request is approved already"),
    readings.RegistryError("An owner with this user_id is registered"),
    readings.InvalidWallet("A wallet is 32 bytes in base58"),
    exceptions.Throttled(1),
    doors.CannotBeMinted(READING, "already_minted", "This reading is minted."),
    doors.MintFailed(
        READING,
        error="The token account is frozen",
        error_code="account_frozen",
        batch_id=BATCH,
        batch_url=f"https://mint.example/api/v1/mint-batches/{BATCH}",
    ),
    doors.MintStillRunning(
        30, batch_id=BATCH, batch_url=f"https://mint.example/api/v1/mint-batches/{BATCH}"
    ),
)


def _told(error: Exception) -> dict[str, Any]:
    response = problem_handler(error, {})
    if response is None:
        raise AssertionError(f"{error!r} has no answer")
    return dict(response.data)


PROBLEMS: Mapping[str, dict[str, Any]] = {
    **{told["code"]: told for told in map(_told, _ERRORS)},
    "internal_error": internal_error(),
    "database_unavailable": database_unavailable(),
    "rpc_refused": _told(engine.RpcRefused(-32002, "Transaction simulation failed")),
    "node_unreachable": _told(engine.NodeUnreachable("No node answers")),
}
"""An example of each; the last two are reasons of ``solana_error``."""

ALWAYS = (
    "not_authenticated",
    "authentication_failed",
    "permission_denied",
    "not_acceptable",
    "throttled",
    "internal_error",
    "database_unavailable",
)
"""What any request may be told."""

OF_A_BODY = ("parse_error", "body_too_large", "unsupported_media_type")
OF_A_KEY = ("invalid_idempotency_key", "idempotency_key_in_progress", "idempotency_key_reused")
OF_THE_CHAIN = (
    "minting_refused",
    "gate_closed",
    "insufficient_funds",
    "rpc_refused",
    "node_unreachable",
)
