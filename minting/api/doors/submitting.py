"""Doors that readings come in through."""

from __future__ import annotations

from functools import partial
from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_view
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import Serializer

from minting.access.permissions import holds_scope
from minting.access.scopes import Scope
from minting.api.base import ApiView
from minting.api.documents import IDEMPOTENCY_KEY, JSON_OK, problems
from minting.api.doors import answers
from minting.api.doors.paying import pay_along
from minting.api.doors.serializers import (
    AcceptedSerializer,
    CountedSerializer,
    DlmsBatchSerializer,
    DlmsSerializer,
    DoorReadingSerializer,
    DoorReadingsSerializer,
    OfMeterSerializer,
    SubmittedSerializer,
)
from minting.api.doors.taking import take_many, take_one
from minting.api.shown import shown_reading
from readings.formats import bodies
from readings.intake import Submission

SINGLE = problems(400, 404, 409, 413, 422)
MANY = problems(400, 409, 413, 422)
TAGS = ["platform's clients"]

AUTO_MINT = OpenApiParameter(
    "auto_mint",
    bool,
    description="`true` and a token that may mint: the reading is minted, and waited for.",
)


class _Door(ApiView):
    """Takes readings; nobody comes in without a token, whatever the address says."""

    required_scopes = {"POST": (Scope.SUBMIT,)}


class SubmitReading(_Door):
    """The gateway's first door."""

    @extend_schema(
        operation_id="door_submit_reading",
        tags=TAGS,
        parameters=[*IDEMPOTENCY_KEY],
        request=DoorReadingSerializer,
        responses={JSON_OK: SubmittedSerializer, **SINGLE},
    )
    def post(self, request: Request) -> Response:
        """Takes one reading of a meter that the body names."""
        return Response(take_one(request, bodies.plain, answers.submitted))


class MeterReadings(_Door):
    """A meter's own door."""

    @extend_schema(
        operation_id="door_meter_readings",
        tags=TAGS,
        parameters=[*IDEMPOTENCY_KEY, AUTO_MINT],
        request=DoorReadingSerializer,
        responses={JSON_OK: OfMeterSerializer, **problems(400, 404, 409, 413, 422, 504)},
    )
    def post(self, request: Request, serial: str) -> Response:
        """Takes one reading of the meter in the address, and mints it if asked to.

        Without the right to mint, or if it cannot be minted, it is stored all the same, and
        `message` says so.
        """
        told = take_one(request, partial(bodies.plain, serial=serial), answers.of_meter)
        if request.query_params.get("auto_mint", "").lower() not in {"true", "1"}:
            return Response(told)
        if not holds_scope(request, Scope.MINT):
            why = "auto_mint needs a token with the scope mint"
        else:
            self.spends = ("POST",)  # from here on the call is one for the trail
            why = pay_along(request, told["id"])
        message = f"{told['message']} Not minted: {why.rstrip('.')}." if why else told["message"]
        return Response(answers.of_meter(shown_reading(told["id"]), message))


class _SubmitBatch(_Door):
    """The gateway's batches; the same under each of their addresses."""

    def post(self, request: Request) -> Response:
        """Takes up to 1,000 readings, each by itself; `message` tells what failed, and why."""
        return Response(take_many(request, bodies.plain, answers.counted))


class _Ingest(_Door):
    """Head-ends that want nothing but to be rid of their readings."""

    def post(self, request: Request) -> Response:
        """Takes one reading."""
        return Response(take_one(request, self.read, answers.accepted))

    def read(self, body: object) -> Submission:
        """The reading in a body."""
        raise NotImplementedError


class _IngestBatch(_Ingest):
    """The same by the thousand."""

    def post(self, request: Request) -> Response:
        """Takes up to 1,000 readings, each by itself, and answers for each in the order sent."""
        return Response(take_many(request, self.read, answers.each_accepted))


def _described(name: str, request: type[Serializer], answer: Any, errors: Any) -> Any:
    """The description of a door that several addresses or bodies share the code of."""
    return extend_schema_view(
        post=extend_schema(
            operation_id=name,
            tags=TAGS,
            parameters=[*IDEMPOTENCY_KEY],
            request=request,
            responses={JSON_OK: answer, **errors},
        )
    )


@_described("door_submit_batch", DoorReadingsSerializer, CountedSerializer, MANY)
class SubmitBatch(_SubmitBatch):
    """`submit-batch`."""


@_described("door_batch_readings", DoorReadingsSerializer, CountedSerializer, MANY)
class BatchReadings(_SubmitBatch):
    """`batch/readings`."""


@_described("door_public_batch_readings", DoorReadingsSerializer, CountedSerializer, MANY)
class PublicBatchReadings(_SubmitBatch):
    """The address that was open once: it asks for a token like all others."""


@_described("door_telemetry", DoorReadingSerializer, AcceptedSerializer, SINGLE)
class Telemetry(_Ingest):
    """`ingest/telemetry`."""

    def read(self, body: object) -> Submission:
        """A gateway's body."""
        return bodies.plain(body)


@_described("door_telemetry_batch", DoorReadingsSerializer, AcceptedSerializer(many=True), MANY)
class TelemetryBatch(_IngestBatch):
    """`ingest/telemetry/batch`."""

    def read(self, body: object) -> Submission:
        """A gateway's body."""
        return bodies.plain(body)


@_described("door_private_network", DlmsSerializer, AcceptedSerializer, SINGLE)
class PrivateNetwork(_Ingest):
    """`private-network/ingest`."""

    def read(self, body: object) -> Submission:
        """Registers."""
        return bodies.dlms(body)


@_described("door_private_network_batch", DlmsBatchSerializer, AcceptedSerializer(many=True), MANY)
class PrivateNetworkBatch(_IngestBatch):
    """`private-network/ingest/batch`."""

    def post(self, request: Request) -> Response:
        """Takes up to 1,000 readings, each by itself, and answers for each in the order sent."""
        if isinstance(request.data, dict):
            bodies.require_plain(request.data)
        return super().post(request)

    def read(self, body: object) -> Submission:
        """Registers, flat."""
        return bodies.dlms_item(body)
