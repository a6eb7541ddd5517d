"""Asking for minting: a batch by name, its estimate, and the single mint of old."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.conf import settings
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from minting.access.scopes import Scope
from minting.api.answers import queued
from minting.api.base import ApiView, caller
from minting.api.catalogue import OF_A_BODY, OF_A_KEY, OF_THE_CHAIN
from minting.api.documents import IDEMPOTENCY_KEY, QUEUES, problems
from minting.api.idempotency import Written, batch_once
from minting.api.serializers.batches import (
    BatchSerializer,
    EstimateSerializer,
    MintRequestSerializer,
    SingleMintSerializer,
    named_ids,
)
from minting.api.shown import shown_reading
from minting.models import BatchSource, MintBatch, MintResult
from minting.service.describe import describe_estimate, describe_result
from minting.service.requests.prepare import estimate_readings, request_batch

BODY = (*OF_A_BODY, "invalid_request", "empty_batch", "batch_too_large")
"""What a list of ids may be told of its form."""


class MintBatchRequest(ApiView):
    """Minting readings by name."""

    required_scopes = {"POST": (Scope.MINT,)}
    spends = ("POST",)

    @extend_schema(
        operation_id="mint_batch",
        parameters=[*IDEMPOTENCY_KEY, *QUEUES],
        request=MintRequestSerializer,
        responses={
            200: BatchSerializer,
            202: BatchSerializer,
            **problems(*BODY, "invalid_batch_data", *OF_A_KEY, *OF_THE_CHAIN),
        },
    )
    def post(self, request: Request) -> Response:
        """Queues a batch: all of the named readings, or none of them.

        A reading that is unknown, named twice, taken or minted is told, and nothing is queued.
        """
        batch = batch_once(
            request, lambda written: _queue(named_ids(request.data), request, written)
        )
        return queued(batch, request)


class MintBatchEstimate(ApiView):
    """What minting would cost."""

    required_scopes = {"POST": (Scope.READ, Scope.MINT)}

    @extend_schema(
        operation_id="mint_batch_estimate",
        request=MintRequestSerializer,
        responses={
            200: EstimateSerializer,
            **problems(*BODY, "fee_estimation_disabled", *OF_THE_CHAIN),
        },
    )
    def post(self, request: Request) -> Response:
        """Plans the minting of these readings and mints nothing; what cannot be is excluded."""
        return Response(describe_estimate(estimate_readings(named_ids(request.data))))


class ReadingMint(ApiView):
    """The single mint."""

    required_scopes = {"POST": (Scope.MINT,)}
    spends = ("POST",)

    @extend_schema(
        operation_id="readings_mint",
        parameters=[*IDEMPOTENCY_KEY, *QUEUES],
        request=None,
        responses={
            200: SingleMintSerializer,
            202: BatchSerializer,
            **problems("unknown_reading", "invalid_batch_data", *OF_A_KEY, *OF_THE_CHAIN),
        },
    )
    def post(self, request: Request, reading_id: UUID) -> Response:
        """Queues a batch of this one reading."""
        shown_reading(reading_id)
        batch = batch_once(request, lambda written: _queue([reading_id], request, written))
        return queued(batch, request, done=_describe_single)


def _queue(ids: Sequence[UUID], request: Request, written: Written) -> MintBatch:
    return request_batch(
        ids,
        source=BatchSource.API,
        created_by=caller(request),
        strict=True,
        max_size=settings.BLOCKCHAIN_MAX_BATCH_SIZE,
        written=written,
    )


def _describe_single(batch: MintBatch, _request: Request) -> dict[str, Any]:
    told = describe_result(MintResult.objects.get(batch=batch))
    names = ("reading_id", "success", "error", "error_code", "tx_signature")
    return {**{name: told[name] for name in names}, "batch_id": str(batch.id)}
