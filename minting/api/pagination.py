"""Pages by keyset: the millionth costs what the first does, and none is skipped or told twice.

DRF's cursor counts rows that share a value (an import of 100,000 readings shares its time) and
gives up at a thousand; here the id is part of the cursor.
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from django.core.exceptions import ValidationError
from django.db.models import Field, Model, Q
from rest_framework.pagination import BasePagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import replace_query_param

from minting.api.errors import InvalidRequest

PAGE_SIZE = 50
MAX_PAGE_SIZE = 1_000

_FOREIGN = "cursor is none of ours: take it from next or previous"


class Ordered(Protocol):
    """What a list's view says about its order."""

    orderings: Mapping[str, str]
    """Public name to column; the column ``id`` alone is a complete order."""
    default_ordering: str


@dataclass(frozen=True, slots=True)
class _Cursor:
    """Where a page begins: after (or, backward, before) this row."""

    ordering: str
    backward: bool
    value: str
    id: str

    def encode(self) -> str:
        fields = [self.ordering, self.backward, self.value, self.id]
        return urlsafe_b64encode(json.dumps(fields).encode()).decode().rstrip("=")

    @classmethod
    def decode(cls, text: str) -> _Cursor:
        try:
            fields = json.loads(urlsafe_b64decode(text + "=" * (-len(text) % 4)))
            ordering, backward, value, id_ = fields
            written = f"{value}{id_}".encode()  # half a surrogate pair is no UTF-8
        except (ValueError, TypeError, RecursionError):
            raise InvalidRequest(_FOREIGN) from None
        if b"\0" in written:
            raise InvalidRequest(_FOREIGN)
        return cls(str(ordering), bool(backward), str(value), str(id_))


class KeysetPagination(BasePagination):
    """``{"next", "previous", "results"}``, without a count."""

    def paginate_queryset(self, queryset: Any, request: Request, view: Any = None) -> list[Any]:
        """One page of ``queryset``.

        Raises:
            InvalidRequest: A parameter that cannot be.
        """
        self._url = request.build_absolute_uri()
        self._ordering = self._asked_ordering(request, view)
        self._column = view.orderings[self._ordering.lstrip("-")]
        cursor = self._asked_cursor(request)
        backward = cursor is not None and cursor.backward
        size = _asked_size(request)
        descending = self._ordering.startswith("-") != backward
        if cursor is not None:
            queryset = queryset.filter(self._beyond(queryset.model, cursor, descending))
        sign = "-" if descending else ""
        columns = dict.fromkeys([f"{sign}{self._column}", f"{sign}id"])
        page = list(queryset.order_by(*columns)[: size + 1])
        more = len(page) > size
        page = page[:size]
        if backward:
            page.reverse()
        # Whoever turned a page comes from somewhere: that side has rows, without looking.
        after = more or backward
        before = more if backward else cursor is not None
        self._next = self._link(page[-1], backward=False) if page and after else None
        self._previous = self._link(page[0], backward=True) if page and before else None
        return page

    def get_paginated_response(self, data: Any) -> Response:
        """The answer for the page."""
        return Response({"next": self._next, "previous": self._previous, "results": data})

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        """The answer's form, for the API's description."""
        link = {"type": "string", "format": "uri", "nullable": True}
        further = {**link, "example": "https://mint.example.org/api/v1/…?cursor=WyItaWQi…"}
        first = {**link, "example": None}
        return {
            "type": "object",
            "required": ["next", "previous", "results"],
            "properties": {"next": further, "previous": first, "results": schema},
        }

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        """The parameters, for the API's description."""
        orders = [f"{sign}{name}" for name in view.orderings for sign in ("", "-")]
        size = {"type": "integer", "minimum": 1, "default": PAGE_SIZE}
        return [
            _parameter("cursor", "Where the page begins; from next or previous.", {}),
            _parameter("page_size", f"More than {MAX_PAGE_SIZE} is capped.", size),
            _parameter(
                "ordering", "Minus: descending.", {"enum": orders, "default": view.default_ordering}
            ),
        ]

    def _asked_ordering(self, request: Request, view: Ordered) -> str:
        ordering = request.query_params.get("ordering") or view.default_ordering
        if ordering.removeprefix("-") not in view.orderings:
            raise InvalidRequest(f"ordering is one of {', '.join(view.orderings)}, or -…")
        return ordering

    def _asked_cursor(self, request: Request) -> _Cursor | None:
        text = request.query_params.get("cursor")
        if not text:
            return None
        cursor = _Cursor.decode(text)
        if cursor.ordering != self._ordering:
            raise InvalidRequest("cursor belongs to another ordering")
        return cursor

    def _beyond(self, model: type[Model], cursor: _Cursor, descending: bool) -> Q:
        """Rows past the cursor's; the first condition is the one that an index can bound."""
        try:
            value = _column(model, self._column).to_python(cursor.value)
            id_ = _column(model, "id").to_python(cursor.id)
        except ValidationError:
            raise InvalidRequest(_FOREIGN) from None
        past = "lt" if descending else "gt"
        return Q(**{f"{self._column}__{past}e": value}) & (
            Q(**{f"{self._column}__{past}": value}) | Q(**{self._column: value, f"id__{past}": id_})
        )

    def _link(self, row: Any, *, backward: bool) -> str:
        value = getattr(row, self._column)
        text = value.isoformat() if hasattr(value, "isoformat") else str(value)
        cursor = _Cursor(self._ordering, backward, text, str(row.id))
        return replace_query_param(self._url, "cursor", cursor.encode())


def _column(model: type[Model], name: str) -> Field[Any, Any]:
    field = model._meta.get_field(name)
    if not isinstance(field, Field):
        raise TypeError(f"{name} is no column of {model.__name__}")
    return field


def _asked_size(request: Request) -> int:
    text = request.query_params.get("page_size")
    if not text:
        return PAGE_SIZE
    if not (text.isascii() and text.isdigit() and len(text) < 10 and int(text)):
        raise InvalidRequest("page_size is a whole number from 1")
    return min(int(text), MAX_PAGE_SIZE)


def _parameter(name: str, description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": name,
        "in": "query",
        "required": False,
        "description": description,
        "schema": {"type": "string", **schema},
    }
