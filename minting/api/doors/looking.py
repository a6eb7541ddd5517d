"""Doors that operators' scripts and the trading UI look through."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db.models import Count, Max, Q, QuerySet, Sum
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from minting.access.scopes import Scope
from minting.api.base import ApiView
from minting.api.documents import JSON_OK, problems
from minting.api.doors import answers
from minting.api.doors.serializers import MineSerializer, StatsSerializer, UnmintedSerializer
from minting.api.doors.submitting import TAGS
from minting.api.errors import InvalidRequest
from minting.api.shown import shown_readings
from readings.models import MeterReading
from readings.rules import ReadingStatus

PAGE_SIZE, MOST = 50, 1_000
DEEPEST = 100_000
"""Rows that a page may skip; ``GET readings`` has pages of any depth."""

NEVER_MINTED = (ReadingStatus.MINTED, ReadingStatus.NOT_MINTED)
UNMINTED = tuple(status.value for status in ReadingStatus if status not in NEVER_MINTED)
"""Not minted yet, whatever stands against it now: all but what is minted and what never will be."""

SORTED_BY = {
    "submitted_at": "submitted_at",
    "reading_timestamp": "period_end",
    "kwh_amount": "kwh_amount",
}


def _number(name: str, default: int, least: int) -> OpenApiParameter:
    schema = {"type": "integer", "minimum": least, "default": default}
    return OpenApiParameter(name, schema)


def _word(name: str, *words: str) -> OpenApiParameter:
    return OpenApiParameter(name, {"type": "string", "enum": list(words), "default": words[0]})


class Unminted(ApiView):
    """The operators' list."""

    required_scopes = {"GET": (Scope.READ,)}

    @extend_schema(
        operation_id="door_unminted",
        tags=TAGS,
        parameters=[
            _number("page", 1, 1),
            _number("page_size", PAGE_SIZE, 1),
            _word("sort_by", *SORTED_BY),
            _word("sort_order", "desc", "asc"),
        ],
        responses={JSON_OK: UnmintedSerializer(many=True), **problems(400)},
    )
    def get(self, request: Request) -> Response:
        """Lists what is not minted yet: a bare array, without consumption."""
        page = _asked_number(request, "page", 1, least=1)
        size = min(_asked_number(request, "page_size", PAGE_SIZE, least=1), MOST)
        column = SORTED_BY[_asked_word(request, "sort_by", tuple(SORTED_BY))]
        sign = "-" if _asked_word(request, "sort_order", ("desc", "asc")) == "desc" else ""
        skipped = _bounded((page - 1) * size)
        rows = _unminted((f"{sign}{column}", f"{sign}id"), column, most=skipped + size)
        return Response([answers.listed(each) for each in _shown(rows, skipped, size)])


class Mine(ApiView):
    """The trading UI's list."""

    required_scopes = {"GET": (Scope.READ,)}

    @extend_schema(
        operation_id="door_readings",
        tags=TAGS,
        parameters=[_number("limit", PAGE_SIZE, 1), _number("offset", 0, 0)],
        responses={JSON_OK: MineSerializer(many=True), **problems(400)},
    )
    def get(self, request: Request) -> Response:
        """Lists readings, the latest interval first: a bare array."""
        limit = min(_asked_number(request, "limit", PAGE_SIZE, least=1), MOST)
        offset = _bounded(_asked_number(request, "offset", 0, least=0))
        rows = MeterReading.objects.current().order_by("-period_end", "-id").values("id")
        return Response([answers.mine(each) for each in _shown(rows, offset, limit)])


class Stats(ApiView):
    """The trading UI's numbers."""

    required_scopes = {"GET": (Scope.READ,)}

    @extend_schema(
        operation_id="door_stats",
        tags=TAGS,
        responses={JSON_OK: StatsSerializer, **problems()},
    )
    def get(self, _request: Request) -> Response:
        """Sums up all readings, in kWh."""
        # One walk of the table, which PostgreSQL shares among its processes.
        current, minted = Q(is_current=True), Q(status=ReadingStatus.MINTED.value)
        pending = Q(is_current=True, status__in=UNMINTED)
        sums: dict[str, Any] = MeterReading.objects.aggregate(
            total_produced=Sum("energy_generated", filter=current),
            total_consumed=Sum("energy_consumed", filter=current),
            total_minted=Sum("kwh_amount", filter=minted),
            total_minted_count=Count("id", filter=minted),
            pending_mint=Sum("kwh_amount", filter=pending),
            pending_mint_count=Count("id", filter=pending),
        )
        last = MeterReading.objects.aggregate(last=Max("period_end"))["last"]
        told = {
            name: value if name.endswith("_count") else answers.number(value)
            for name, value in sums.items()
        }
        return Response({**told, "last_reading_time": answers.instant(last) if last else None})


def _unminted(order: tuple[str, str], column: str, *, most: int) -> QuerySet[MeterReading, Any]:
    """The first ``most`` of what is not minted yet: each status by its index, then merged."""
    readings = MeterReading.objects.current().order_by(*order).values("id", column)
    first, *others = [readings.filter(status=status)[:most] for status in UNMINTED]
    merged: QuerySet[MeterReading, Any] = first.union(*others, all=True)
    return merged.order_by(*order)


def _bounded(skipped: int) -> int:
    """As many rows, if a page may skip so many.

    Raises:
        InvalidRequest: It may not.
    """
    if skipped > DEEPEST:
        raise InvalidRequest(f"At most {DEEPEST} rows are skipped; GET /api/v1/readings has no end")
    return skipped


def _shown(rows: QuerySet[MeterReading, Any], offset: int, size: int) -> list[MeterReading]:
    """These rows, told by their ids, as they are shown; what is skipped is not looked up."""
    ids: list[UUID] = [row["id"] for row in rows[offset : offset + size]]
    shown = {each.id: each for each in shown_readings().filter(id__in=ids)}
    return [shown[id_] for id_ in ids]


def _asked_number(request: Request, name: str, default: int, *, least: int) -> int:
    text = request.query_params.get(name)
    if not text:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 10 and int(text) >= least):
        raise InvalidRequest(f"{name} is a whole number from {least}")
    return int(text)


def _asked_word(request: Request, name: str, words: tuple[str, ...]) -> str:
    word = request.query_params.get(name, "").lower() or words[0]
    if word not in words:
        raise InvalidRequest(f"{name} is one of {', '.join(words)}")
    return word
