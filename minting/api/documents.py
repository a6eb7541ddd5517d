"""What several endpoints say alike in the API's description."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import (
    OpenApiExample,
    OpenApiParameter,
    OpenApiResponse,
)
from rest_framework import serializers

from minting.api.catalogue import ALWAYS, OF_A_BODY, PROBLEMS
from minting.api.problems import PROBLEM


class ProblemSerializer(serializers.Serializer):
    """RFC 9457, with a code for programs; some codes have further members (docs/api.md)."""

    type = serializers.CharField()
    title = serializers.CharField()
    status = serializers.IntegerField()
    code = serializers.CharField()
    detail = serializers.CharField()
    message = serializers.CharField(help_text="The same as detail.")


RETRY_AFTER = OpenApiParameter(
    "Retry-After",
    int,
    OpenApiParameter.HEADER,
    response=[202, 409, 429, 503],
    description="Seconds after which asking again may help; not with every code.",
)
LOCATION = OpenApiParameter(
    "Location",
    {"type": "string", "format": "uri"},
    OpenApiParameter.HEADER,
    response=[200, 201, 202],
    description="Where the batch is, or the reading that was made.",
)

PREFER_WAIT = OpenApiParameter(
    "Prefer",
    str,
    OpenApiParameter.HEADER,
    description="`wait=N`: 200 with the outcome if it is there within N (at most 30) seconds.",
    examples=[OpenApiExample("wait", value="wait=20")],
)
PREFERENCE_APPLIED = OpenApiParameter(
    "Preference-Applied",
    str,
    OpenApiParameter.HEADER,
    response=[200, 202],
    description="The `wait` that was honoured.",
)
QUEUES = (LOCATION, RETRY_AFTER, PREFER_WAIT, PREFERENCE_APPLIED)
"""Headers of what makes a batch."""

IDEMPOTENCY_KEY = (
    OpenApiParameter(
        "Idempotency-Key",
        {"type": "string", "minLength": 1, "maxLength": 255},
        OpenApiParameter.HEADER,
        description="The caller's name for this request, given again when it is sent again: it has "
        "its effect once, and every repeat gets its answer. Kept for 30 days.",
        examples=[OpenApiExample("a UUID", value="8e03978e-40d5-43e8-bc93-6894a57f9324")],
    ),
    RETRY_AFTER,
)
"""What takes a key takes this header, and may answer 409 with the other; 400 and 422 besides."""

CONDITIONAL = (
    OpenApiParameter(
        "If-None-Match",
        str,
        OpenApiParameter.HEADER,
        description="The `ETag` of the last answer: 304 without a body while nothing changed.",
        examples=[OpenApiExample("an ETag", value='W/"9b2cf535f27731c974343645a3985328"')],
    ),
    OpenApiParameter(
        "ETag",
        str,
        OpenApiParameter.HEADER,
        response=[200, 304],
        description="What this state is called.",
    ),
    OpenApiParameter(
        "Retry-After",
        int,
        OpenApiParameter.HEADER,
        response=[200, 304, 429],
        description="Seconds after which it is worth asking again; missing once it is final.",
    ),
)
UNCHANGED = OpenApiResponse(description="Nothing changed since `If-None-Match`")

JSON_OK = (200, "application/json")
"""Of lists: drf-spectacular takes the smallest key, as text, for the one that tells the page."""

_MEANINGS = {
    400: "The request's form is wrong",
    401: "No valid token or session",
    403: "The scope is missing",
    404: "No such thing",
    406: "Answers are JSON",
    409: "Not as things stand",
    413: "The body is too large",
    415: "The body is not JSON by its type",
    422: "Readings that cannot be minted, told one by one, or a key that named another request: "
    "nothing is done",
    429: "Too many calls",
    500: "Our fault; it is in our logs",
    502: "The node refused",
    503: "No node answers",
    504: "The outcome is not known in time; the mint goes on",
}


def problems(*what: int | str) -> dict[Any, Any]:
    """Responses of ``extend_schema``: these, and what any request may be told.

    Args:
        what: Codes, each with its example; or a status, with an example of any of its codes.
    """
    codes = [each for each in what if isinstance(each, str)]
    statuses = {each for each in what if isinstance(each, int)}
    if 413 in statuses or "body_too_large" in codes:
        codes += OF_A_BODY
    named: dict[int, list[str]] = {status: [] for status in statuses}
    for code in dict.fromkeys([*codes, *ALWAYS]):
        named.setdefault(PROBLEMS[code]["status"], []).append(code)
    return {
        (status, PROBLEM): OpenApiResponse(
            ProblemSerializer, description=_MEANINGS[status], examples=_examples(status, codes)
        )
        for status, codes in sorted(named.items())
    }


def _examples(status: int, codes: list[str]) -> list[OpenApiExample]:
    of_status = [code for code, told in PROBLEMS.items() if told["status"] == status]
    return [OpenApiExample(code, value=PROBLEMS[code]) for code in codes or of_status[:1]]
