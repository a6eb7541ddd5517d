"""Results of any batch: what became of a reading, what a transaction paid, what a wallet got."""

from __future__ import annotations

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from minting.access.scopes import Scope
from minting.api.base import ApiView
from minting.api.documents import JSON_OK, problems
from minting.api.filters import ResultFilter
from minting.api.pagination import KeysetPagination
from minting.api.serializers.batches import MintResultSerializer
from minting.models import MintResult


class MintResultList(ApiView, GenericAPIView):
    """Every result that there ever was."""

    required_scopes = {"GET": (Scope.READ, Scope.MINT)}
    serializer_class = MintResultSerializer
    pagination_class = KeysetPagination
    filterset_class = ResultFilter
    # Ids are UUIDv7: their order is the order of creation, and they have the index.
    orderings = {"created_at": "id"}
    default_ordering = "-created_at"

    def get_queryset(self) -> QuerySet[MintResult]:
        """All of them."""
        return MintResult.objects.all()

    @extend_schema(
        operation_id="mint_results_list",
        responses={JSON_OK: MintResultSerializer(many=True), **problems("invalid_request")},
    )
    def get(self, _request: Request) -> Response:
        """Lists results for an audit, newest first.

        A reading that failed and was tried again has one in each batch; one at most succeeded.
        """
        page = self.paginate_queryset(self.filter_queryset(self.get_queryset()))
        return self.get_paginated_response(MintResultSerializer(page, many=True).data)
