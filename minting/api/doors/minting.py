"""Doors that mint one reading and wait for it."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from minting.access.scopes import Scope
from minting.api.base import ApiView
from minting.api.documents import IDEMPOTENCY_KEY, JSON_OK, problems
from minting.api.doors.paying import pay
from minting.api.doors.serializers import MintFromReadingSerializer, PaidSerializer
from minting.api.doors.submitting import TAGS

REFUSALS = problems(400, 404, 409, 422, 502, 503, 504)


class MintFromReading(ApiView):
    """The operators' door."""

    spends = ("POST",)
    required_scopes = {"POST": (Scope.MINT,)}

    @extend_schema(
        operation_id="door_mint_from_reading",
        tags=TAGS,
        parameters=[*IDEMPOTENCY_KEY],
        request=MintFromReadingSerializer,
        responses={JSON_OK: PaidSerializer, **REFUSALS},
    )
    def post(self, request: Request) -> Response:
        """Mints the reading that the body names, and waits for up to 30 seconds."""
        return Response(_paid(request, _named(request.data)))


class MintReading(ApiView):
    """The trading UI's door."""

    spends = ("POST",)
    required_scopes = {"POST": (Scope.MINT,)}

    @extend_schema(
        operation_id="door_mint_reading",
        tags=TAGS,
        parameters=[*IDEMPOTENCY_KEY],
        request=None,
        responses={JSON_OK: PaidSerializer, **REFUSALS},
    )
    def post(self, request: Request, reading_id: UUID) -> Response:
        """Mints the reading in the address, and waits for up to 30 seconds."""
        return Response(_paid(request, reading_id))


def _paid(request: Request, reading_id: UUID) -> dict[str, Any]:
    result = pay(request, reading_id)
    return {
        "message": "Tokens minted",
        "transaction_signature": result.tx_signature,
        "kwh_amount": str(result.kwh_amount),
        "wallet_address": result.wallet_address,
    }


def _named(body: Any) -> UUID:
    serializer: serializers.Serializer[Any] = MintFromReadingSerializer(data=body)
    serializer.is_valid(raise_exception=True)
    reading_id: UUID = serializer.validated_data["reading_id"]
    return reading_id
