"""What several endpoints say alike in the API's description."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiParameter, OpenApiResponse
from rest_framework import serializers

from minting.api.problems import PROBLEM


class ProblemSerializer(serializers.Serializer):
    """RFC 9457, with a code for programs; some codes have further members (docs/api.md)."""

    type = serializers.CharField()
    title = serializers.CharField()
    status = serializers.IntegerField()
    code = serializers.CharField()
    detail = serializers.CharField()
    message = serializers.CharField(help_text="The same as detail.")


PREFER_WAIT = OpenApiParameter(
    "Prefer",
    str,
    OpenApiParameter.HEADER,
    description="`wait=N`: 200 with the outcome if it is there within N (at most 30) seconds.",
)

IDEMPOTENCY_KEY = (
    OpenApiParameter(
        "Idempotency-Key",
        {"type": "string", "minLength": 1, "maxLength": 255},
        OpenApiParameter.HEADER,
        description="The caller's name for this request, given again when it is sent again: it has "
        "its effect once, and every repeat gets its answer. Kept for 30 days.",
    ),
    OpenApiParameter(
        "Retry-After",
        int,
        OpenApiParameter.HEADER,
        response=[409],
        description="Seconds, with `idempotency_key_in_progress`.",
    ),
)
"""What takes a key takes this header, and may answer 409 with the other; 400 and 422 besides."""

JSON_OK = (200, "application/json")
"""Of lists: drf-spectacular takes the smallest key, as text, for the one that tells the page."""

_MEANINGS = {
    400: "The request's form is wrong",
    404: "No such thing",
    409: "Not as things stand",
    413: "The body is too large",
    422: "Readings that cannot be minted, told one by one, or a key that named another request: "
    "nothing is done",
    502: "The node refused",
    503: "No node answers",
    504: "The outcome is not known in time; the mint goes on",
}


def problems(*statuses: int) -> dict[Any, Any]:
    """Responses of ``extend_schema``: these, and what authentication says everywhere."""
    meanings = {401: "No valid token or session", 403: "The scope is missing"}
    meanings |= {status: _MEANINGS[status] for status in statuses}
    return {
        (status, PROBLEM): OpenApiResponse(ProblemSerializer, description=meaning)
        for status, meaning in sorted(meanings.items())
    }
