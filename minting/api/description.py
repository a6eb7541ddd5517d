"""The last touches to the API's description: states' names, titles, headers of every refusal."""

from __future__ import annotations

from typing import Any

from minting.api.problems import PROBLEM
from minting.engine.states import BatchStatus, ResultStatus
from minting.models import BatchSource
from readings.intake import OutcomeStatus
from readings.rules import ReadingStatus

BATCH_STATUSES = [each.value for each in BatchStatus]
BATCH_SOURCES = [each.value for each in BatchSource]
OUTCOME_STATUSES = [each.value for each in OutcomeStatus]
READING_STATUSES = [each.value for each in ReadingStatus]
RESULT_STATUSES = [each.value for each in ResultStatus]
"""What ``ENUM_NAME_OVERRIDES`` gives names to, wherever they are told."""


def complete(result: dict[str, Any], **_context: Any) -> dict[str, Any]:
    """A hook of drf-spectacular: titles, and headers that every refusal of a kind bears."""
    for path in result["paths"].values():
        for operation in path.values():
            _entitle(operation)
            responses = operation.get("responses", {})
            _add_header(responses.get("401"), "WWW-Authenticate", "string", "`Bearer`.")
            _add_header(
                responses.get("429"),
                "Retry-After",
                "integer",
                "Seconds until the next call is taken.",
            )
    return result


def _entitle(operation: dict[str, Any]) -> None:
    """The first sentence is what pages list the operation by; what follows stays beneath."""
    title, _, more = operation.pop("description").partition("\n\n")
    operation["summary"] = " ".join(title.split()).removesuffix(".")
    if more:
        operation["description"] = more


def _add_header(response: dict[str, Any] | None, name: str, kind: str, description: str) -> None:
    if response is not None and PROBLEM in response.get("content", {}):
        headers = response.setdefault("headers", {})
        headers.setdefault(name, {"schema": {"type": kind}, "description": description})
