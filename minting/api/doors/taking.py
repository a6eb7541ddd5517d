"""From a client's body to its answer: the same intake as ``POST readings``, the same keys."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

from rest_framework.request import Request

from minting.api.base import caller
from minting.api.doors.answers import message_of
from minting.api.errors import InvalidRequest, TooManyReadings
from minting.api.idempotency import Answer, answer_once
from minting.api.readings import MOST
from minting.api.shown import shown_reading
from readings import intake
from readings.errors import ReadingError
from readings.intake import Outcome, Submission
from readings.models import MeterReading
from readings.rules import ReadingSource

ReadBody = Callable[[object], Submission]
"""Raises ``InvalidReading`` where there is no reading."""


def take_one(
    request: Request,
    read: ReadBody,
    tell: Callable[[MeterReading, str], dict[str, Any]],
) -> dict[str, Any]:
    """Stores the reading of this request, or finds the one that we have.

    Raises:
        ReadingError: It cannot be one, its meter is unknown, or it came with other values.
    """

    def make() -> Answer:
        (outcome,) = _submit([read(request.data)], request)
        if outcome.error is not None:
            raise outcome.error
        shown = shown_reading(id_of(outcome))
        return Answer(200, tell(shown, message_of(outcome)))

    told: dict[str, Any] = answer_once(request, make).data
    return told


def take_many(
    request: Request, read: ReadBody, tell: Callable[[Sequence[Outcome]], Any]
) -> dict[str, Any] | list[dict[str, Any]]:
    """Stores the readings of this request, each by itself.

    Raises:
        InvalidRequest: There is no list of readings.
        TooManyReadings: It is longer than ``POST readings`` takes.
    """

    def make() -> Answer:
        items = [_made_out(item, read) for item in _listed(request.data)]
        return Answer(200, tell(_submit(items, request)))

    told: dict[str, Any] | list[dict[str, Any]] = answer_once(request, make).data
    return told


def id_of(outcome: Outcome) -> UUID:
    """The reading's, which is there if there is no error."""
    if outcome.reading_id is None:
        raise AssertionError("An outcome has a reading or an error")
    return outcome.reading_id


def _submit(items: Sequence[Submission | ReadingError], request: Request) -> list[Outcome]:
    return intake.submit_many(items, source=ReadingSource.API, submitted_by=caller(request))


def _made_out(item: object, read: ReadBody) -> Submission | ReadingError:
    try:
        return read(item)
    except ReadingError as error:
        return error


def _listed(body: object) -> list[Any]:
    readings = body.get("readings") if isinstance(body, dict) else None
    if not isinstance(readings, list):
        raise InvalidRequest('The body is an object with a list: {"readings": […]}')
    if len(readings) > MOST:
        raise TooManyReadings(len(readings), MOST)
    return readings
