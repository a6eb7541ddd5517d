"""Batches: browse, read, stop, retry."""

from __future__ import annotations

from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from minting.access.scopes import Scope
from minting.api.answers import absolute, ask_again, describe, queued
from minting.api.base import ApiView, caller
from minting.api.catalogue import OF_A_KEY, OF_THE_CHAIN
from minting.api.conditional import batch_etag, is_known
from minting.api.documents import (
    CONDITIONAL,
    IDEMPOTENCY_KEY,
    JSON_OK,
    QUEUES,
    UNCHANGED,
    problems,
)
from minting.api.errors import BatchFinished, UnknownBatch
from minting.api.filters import BatchFilter, BatchResultFilter
from minting.api.idempotency import Written, batch_once
from minting.api.pagination import KeysetPagination
from minting.api.serializers.batches import BatchSerializer, ResultSerializer
from minting.models import MintBatch, MintResult
from minting.service.describe import describe_batches, describe_result
from minting.service.requests.cancel import cancel_batch
from minting.service.requests.retry import retry_batch

READ = (Scope.READ, Scope.MINT)
"""Whoever may mint may see what became of it."""


class BatchList(ApiView, GenericAPIView):
    """Batches, newest first."""

    required_scopes = {"GET": READ}
    serializer_class = BatchSerializer
    pagination_class = KeysetPagination
    filterset_class = BatchFilter
    orderings = {"created_at": "created_at"}
    default_ordering = "-created_at"

    def get_queryset(self) -> QuerySet[MintBatch]:
        """All of them."""
        return MintBatch.objects.all()

    @extend_schema(
        operation_id="mint_batches_list",
        responses={JSON_OK: BatchSerializer(many=True), **problems("invalid_request")},
    )
    def get(self, request: Request) -> Response:
        """Lists batches, without their results."""
        batches = self.filter_queryset(self.get_queryset())
        page = describe_batches(self.paginate_queryset(batches) or [])
        return self.get_paginated_response([absolute(each, request) for each in page])


class BatchDetail(ApiView):
    """One batch."""

    required_scopes = {"GET": READ}

    @extend_schema(
        operation_id="mint_batches_retrieve",
        parameters=[*CONDITIONAL],
        responses={200: BatchSerializer, 304: UNCHANGED, **problems("unknown_batch")},
    )
    def get(self, request: Request, batch_id: UUID) -> Response:
        """Describes a batch, with its results up to 1,000 readings.

        Poll it with `If-None-Match` and at the pace of `Retry-After`.
        """
        etag = batch_etag(batch_id)
        batch = find_batch(batch_id)
        headers = {"ETag": etag, "Cache-Control": "private, no-cache", **ask_again(batch)}
        if is_known(request, etag):
            return Response(status=304, headers=headers)
        return Response(describe(batch, request), headers=headers)


class BatchResults(ApiView, GenericAPIView):
    """Results of one batch."""

    required_scopes = {"GET": READ}
    serializer_class = ResultSerializer
    pagination_class = KeysetPagination
    filterset_class = BatchResultFilter
    # There is an index on batch and reading.
    orderings = {"reading_id": "reading_id"}
    default_ordering = "reading_id"

    def get_queryset(self) -> QuerySet[MintResult]:
        """Those of the batch in the address; none where only the API is described."""
        return MintResult.objects.filter(batch=self.kwargs.get("batch_id"))

    @extend_schema(
        operation_id="mint_batches_results_list",
        responses={
            JSON_OK: ResultSerializer(many=True),
            **problems("invalid_request", "unknown_batch"),
        },
    )
    def get(self, _request: Request, batch_id: UUID) -> Response:
        """Lists what became of each reading."""
        find_batch(batch_id)
        page = self.paginate_queryset(self.filter_queryset(self.get_queryset())) or []
        return self.get_paginated_response([describe_result(each) for each in page])


class BatchCancel(ApiView):
    """Taking back what is not signed."""

    required_scopes = {"POST": (Scope.MINT,)}
    spends = ("POST",)

    @extend_schema(
        operation_id="mint_batches_cancel",
        parameters=[*IDEMPOTENCY_KEY],
        request=None,
        responses={
            200: BatchSerializer,
            **problems("unknown_batch", "batch_finished", *OF_A_KEY),
        },
    )
    def post(self, request: Request, batch_id: UUID) -> Response:
        """Frees the readings that are not signed yet; what is signed goes its way.

        A second call answers as the first did; a batch that ended by itself is a conflict.
        """
        by = caller(request).get_username()
        batch = batch_once(request, lambda written: _cancel(batch_id, by=by, written=written))
        return Response(describe(batch, request))


class BatchRetry(ApiView):
    """Trying failures again."""

    required_scopes = {"POST": (Scope.MINT,)}
    spends = ("POST",)

    @extend_schema(
        operation_id="mint_batches_retry",
        parameters=[*IDEMPOTENCY_KEY, *QUEUES],
        request=None,
        responses={
            200: BatchSerializer,
            202: BatchSerializer,
            **problems("unknown_batch", "nothing_to_retry", *OF_A_KEY, *OF_THE_CHAIN),
        },
    )
    def post(self, request: Request, batch_id: UUID) -> Response:
        """Queues a new batch of what failed in this one and may be minted now.

        The batch itself keeps its results; what is minted, taken or held by now is left out.
        """
        find_batch(batch_id)
        by = caller(request)
        batch = batch_once(request, lambda written: retry_batch(batch_id, by=by, written=written))
        return queued(batch, request)


@transaction.atomic
def _cancel(batch_id: UUID, *, by: str, written: Written) -> MintBatch:
    batch = find_batch(batch_id)
    if not batch.is_final:
        cancel_batch(batch_id, by=by)
        batch.refresh_from_db()
    elif batch.cancel_requested_at is None:
        raise BatchFinished(batch.status)
    written(batch)
    return batch


def find_batch(batch_id: UUID) -> MintBatch:
    """One batch.

    Raises:
        UnknownBatch: There is none.
    """
    batch = MintBatch.objects.filter(id=batch_id).first()
    if batch is None:
        raise UnknownBatch(batch_id)
    return batch
