"""Readings: take them in, show them, correct them."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.urls import reverse
from drf_spectacular.utils import OpenApiExample, PolymorphicProxySerializer, extend_schema
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from minting.access.scopes import Scope
from minting.api.base import ApiView, caller
from minting.api.documents import IDEMPOTENCY_KEY, JSON_OK, problems
from minting.api.errors import TooManyReadings
from minting.api.filters import ReadingFilter
from minting.api.idempotency import Answer, answer_once
from minting.api.pagination import KeysetPagination
from minting.api.serializers import examples
from minting.api.serializers.readings import (
    CorrectedReadingSerializer,
    CorrectionSerializer,
    OutcomesSerializer,
    ReadingSerializer,
    SubmissionSerializer,
    describe_outcomes,
    reason_of_correction,
    require_values,
    submission_of,
)
from minting.api.shown import shown_reading, shown_readings
from readings import intake
from readings.errors import ReadingError
from readings.intake import Submission
from readings.models import MeterReading
from readings.rules import ReadingSource

NEWEST = "-submitted_at"
MOST = 1_000
"""Readings that one request may send."""


class ReadingList(ApiView, GenericAPIView):
    """All readings."""

    required_scopes = {"GET": (Scope.READ,), "POST": (Scope.SUBMIT,)}
    serializer_class = ReadingSerializer
    pagination_class = KeysetPagination
    filterset_class = ReadingFilter
    orderings = {"submitted_at": "submitted_at", "period_end": "period_end"}

    @property
    def default_ordering(self) -> str:
        """The newest first; by period where periods are asked for, whose index then finds them."""
        asked = self.request.query_params if self.request else {}
        return "-period_end" if asked.keys() & {"period_after", "period_before"} else NEWEST

    def get_queryset(self) -> QuerySet[MeterReading]:
        """Every revision of each: what was paid stays visible after a correction."""
        return shown_readings()

    @extend_schema(
        operation_id="readings_list",
        responses={JSON_OK: ReadingSerializer(many=True), **problems("invalid_request")},
    )
    def get(self, _request: Request) -> Response:
        """Lists readings, newest first."""
        page = self.paginate_queryset(self.filter_queryset(self.get_queryset()))
        return self.get_paginated_response(ReadingSerializer(page, many=True).data)

    @extend_schema(
        operation_id="readings_create",
        parameters=[*IDEMPOTENCY_KEY],
        request=PolymorphicProxySerializer(
            component_name="OneOrManySubmissions",
            serializers=[SubmissionSerializer, SubmissionSerializer(many=True)],
            resource_type_field_name=None,
            many=False,
        ),
        responses={
            201: ReadingSerializer,
            200: PolymorphicProxySerializer(
                component_name="RepeatOrOutcomes",
                serializers=[ReadingSerializer, OutcomesSerializer],
                resource_type_field_name=None,
            ),
            **problems(400, 404, 409, 413, 422),
        },
        examples=[
            OpenApiExample("one", value=examples.SUBMISSION, request_only=True),
            OpenApiExample("many", value=[examples.SUBMISSION], request_only=True),
            OpenApiExample(
                "a new one", value=examples.READING, response_only=True, status_codes=["201"]
            ),
            OpenApiExample(
                "a repeat", value=examples.READING, response_only=True, status_codes=["200"]
            ),
            OpenApiExample(
                "a list", value=examples.OUTCOMES, response_only=True, status_codes=["200"]
            ),
        ],
    )
    def post(self, request: Request) -> Response:
        """Takes one reading, or a list of up to 1,000.

        One: 201 when it is new, 200 for an exact repeat, with the same id. A list: 200, and an
        outcome for each in the order sent; a bad one fails no other.
        """
        take = _take_list if isinstance(request.data, list) else _take_one
        return _tell(request, answer_once(request, lambda: take(request)))


class ReadingDetail(ApiView):
    """One reading."""

    required_scopes = {"GET": (Scope.READ,)}

    @extend_schema(
        operation_id="readings_retrieve",
        responses={200: ReadingSerializer, **problems("unknown_reading")},
    )
    def get(self, _request: Request, reading_id: UUID) -> Response:
        """Shows a reading and what became of it."""
        return Response(ReadingSerializer(shown_reading(reading_id)).data)


class ReadingCorrections(ApiView):
    """Revisions of a reading."""

    required_scopes = {"POST": (Scope.SUBMIT,)}
    session_permissions = {"POST": "readings.correct_meterreading"}

    @extend_schema(
        operation_id="readings_correct",
        parameters=[*IDEMPOTENCY_KEY],
        request=CorrectionSerializer,
        responses={
            200: CorrectedReadingSerializer,
            201: CorrectedReadingSerializer,
            **problems(400, 404, 409, 413, 422),
        },
    )
    def post(self, request: Request, reading_id: UUID) -> Response:
        """Tells a reading anew: 201 with the new revision, 200 if nothing changed.

        Not minted yet, it replaces; minted, the difference is recorded, never minted or clawed
        back. While the reading is being minted it cannot be corrected.
        """
        return _tell(request, answer_once(request, lambda: _correct(request, reading_id)))


def _correct(request: Request, reading_id: UUID) -> Answer:
    body = require_values(request.data, ["kwh_amount"])
    corrected = intake.correct(
        reading_id=reading_id,
        kwh_amount=body["kwh_amount"],
        energy_generated=body.get("energy_generated"),
        energy_consumed=body.get("energy_consumed"),
        reason=reason_of_correction(body),
        source=ReadingSource.API,
        submitted_by=caller(request),
    )
    return _shown(corrected.reading.id, CorrectedReadingSerializer, created=corrected.created)


def _take_one(request: Request) -> Answer:
    taken = intake.submit(
        submission_of(request.data), source=ReadingSource.API, submitted_by=caller(request)
    )
    return _shown(taken.reading.id, ReadingSerializer, created=taken.created)


def _take_list(request: Request) -> Answer:
    if len(request.data) > MOST:
        raise TooManyReadings(len(request.data), MOST)
    outcomes = intake.submit_many(
        [_made_out(item) for item in request.data],
        source=ReadingSource.API,
        submitted_by=caller(request),
    )
    return Answer(200, describe_outcomes(outcomes))


def _made_out(item: Any) -> Submission | ReadingError:
    try:
        return submission_of(item)
    except ReadingError as error:
        return error


def _shown(reading_id: UUID, serializer: type[ReadingSerializer], *, created: bool) -> Answer:
    return Answer(201 if created else 200, serializer(shown_reading(reading_id)).data)


def _tell(request: Request, answer: Answer) -> Response:
    headers = {}
    if answer.status == 201:
        location = reverse("api:reading-detail", kwargs={"reading_id": answer.data["id"]})
        headers["Location"] = request.build_absolute_uri(location)
    return Response(answer.data, status=answer.status, headers=headers)
