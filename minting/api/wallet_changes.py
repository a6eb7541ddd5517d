"""Requests for another wallet: what waits for a second person, and what became of it.

They are made by ``PATCH owners/{id}``, and decided in the admin: by people, never by a token.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

import django_filters  # type: ignore[import-untyped]
from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import NotFound
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from minting.access.scopes import Scope
from minting.api.base import ApiView, caller
from minting.api.documents import IDEMPOTENCY_KEY, JSON_OK, problems
from minting.api.idempotency import Answer, answer_once
from minting.api.pagination import KeysetPagination
from minting.api.serializers.registry import WalletChangeSerializer, WithdrawalSerializer
from readings import intake
from readings.models import WalletChange
from readings.second_person import ChangeStatus

REGISTRY = (Scope.REGISTRY,)
REFUSALS = problems("wallet_change_conflict", 400, 404, 413, 422)
STATUSES = [(each.value, each.value) for each in ChangeStatus]


class WalletChangeFilter(django_filters.FilterSet):
    """Which requests."""

    status = django_filters.ChoiceFilter(
        choices=[(each.value, each.value) for each in ChangeStatus]
    )
    owner = django_filters.CharFilter(field_name="owner__user_id", help_text="A user_id.")


class WalletChangeList(ApiView, GenericAPIView):
    """All requests for another wallet."""

    required_scopes = {"GET": REGISTRY}
    session_permissions = {"GET": "readings.view_walletchange"}
    serializer_class = WalletChangeSerializer
    pagination_class = KeysetPagination
    filterset_class = WalletChangeFilter
    # Ids are UUIDv7: their order is that of asking, and they have the index.
    orderings = {"proposed_at": "id"}
    default_ordering = "-proposed_at"

    def get_queryset(self) -> QuerySet[WalletChange]:
        """With whose they are, and who asked and decided."""
        return _changes()

    @extend_schema(
        operation_id="wallet_changes_list",
        responses={JSON_OK: WalletChangeSerializer(many=True), **problems(400)},
    )
    def get(self, _request: Request) -> Response:
        """Lists requests for another wallet, newest first."""
        page = self.paginate_queryset(self.filter_queryset(self.get_queryset()))
        return self.get_paginated_response(WalletChangeSerializer(page, many=True).data)


class WalletChangeDetail(ApiView):
    """One request."""

    required_scopes = {"GET": REGISTRY}
    session_permissions = {"GET": "readings.view_walletchange"}

    @extend_schema(
        operation_id="wallet_changes_retrieve",
        responses={200: WalletChangeSerializer, **problems(404)},
    )
    def get(self, _request: Request, row_id: UUID) -> Response:
        """Shows what became of a request for another wallet."""
        return Response(_told(row_id))


class WalletChangeWithdraw(ApiView):
    """Taking a request back."""

    required_scopes = {"POST": REGISTRY}
    session_permissions = {"POST": "readings.add_wallet"}

    @extend_schema(
        operation_id="wallet_changes_withdraw",
        parameters=[*IDEMPOTENCY_KEY],
        request=WithdrawalSerializer,
        responses={200: WalletChangeSerializer, **REFUSALS},
    )
    def post(self, request: Request, row_id: UUID) -> Response:
        """Takes a request for another wallet back; withdrawn already, it stays so."""
        answer = answer_once(request, lambda: _withdraw(request, row_id))
        return Response(answer.data, status=answer.status)


def _withdraw(request: Request, row_id: UUID) -> Answer:
    read = WithdrawalSerializer(data=request.data)
    read.is_valid(raise_exception=True)
    _told(row_id)
    reason = read.validated_data.get("reason", "")
    intake.withdraw_wallet_change(row_id, by=caller(request), reason=reason)
    return Answer(200, _told(row_id))


def _changes() -> QuerySet[WalletChange]:
    return WalletChange.objects.select_related("owner", "old_wallet", "proposed_by", "decided_by")


def _told(row_id: UUID) -> dict[str, Any]:
    change = _changes().filter(id=row_id).first()
    if change is None:
        raise NotFound(f"There is no wallet change {row_id}")
    return dict(WalletChangeSerializer(change).data)
