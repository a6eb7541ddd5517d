"""What an event says: values in, canonical JSON out. Of owners nothing but their readings' ids."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid5

from minting.engine.events import EventType

READINGS_A_MESSAGE = 1_000
"""Failed readings that one message names at most."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened, as the journal wrote it down."""

    message: UUID
    type: EventType
    batch_id: UUID | None
    facts: Mapping[str, Any]
    happened_at: datetime


@dataclass(frozen=True, slots=True)
class Message:
    """The same as it is told; only the number is missing, which is each endpoint's own."""

    id: str
    """What ``webhook-id`` says: the same for every endpoint, attempt and replay."""
    type: EventType
    timestamp: datetime
    data: Mapping[str, Any]


def messages(events: Sequence[Event], batches: Mapping[UUID, Mapping[str, Any]]) -> list[Message]:
    """What is told of events, in their order.

    Failures of one batch that nothing of it comes between are told together, up to
    ``READINGS_A_MESSAGE`` readings.

    Args:
        events: In the order in which they were written.
        batches: Descriptions (contract) of the batches that they are about, without results.
    """
    told: list[Message] = []
    for run in _runs(events):
        first = run[0]
        if first.type is EventType.READING_FAILED:
            told += _failures(run)
        else:
            told += [_message(event, event.message, _data(event, batches)) for event in run]
    return told


def body(message: Message, sequence: int) -> str:
    """The canonical JSON of a message for one endpoint: what is signed, stored and sent."""
    return json.dumps(
        {
            "type": message.type.value,
            "timestamp": _instant(message.timestamp),
            "sequence": sequence,
            "data": message.data,
        },
        ensure_ascii=False,
        separators=(",", ":"),
        allow_nan=False,
    )


def test_message(message: UUID, now: datetime) -> Message:
    """What *Send test event* sends."""
    says = {"message": "This is a test. Nothing has happened."}
    return Message(f"msg_{message.hex}", EventType.TEST, now, says)


def _runs(events: Iterable[Event]) -> list[list[Event]]:
    """Failures of one batch together; everything else by itself, in order.

    Other batches' events may come between: no order is promised between batches.
    """
    runs: list[list[Event]] = []
    open_runs: dict[UUID | None, list[Event]] = {}
    for event in events:
        if event.type is not EventType.READING_FAILED:
            open_runs.pop(event.batch_id, None)
            runs.append([event])
        elif (run := open_runs.get(event.batch_id)) is not None:
            run.append(event)
        else:
            open_runs[event.batch_id] = [event]
            runs.append(open_runs[event.batch_id])
    return runs


def _failures(run: Sequence[Event]) -> list[Message]:
    first = run[0]
    readings = [reading for event in run for reading in event.facts["readings"]]
    parts = range(0, len(readings), READINGS_A_MESSAGE)
    return [
        _message(
            first,
            uuid5(first.message, str(start)) if start else first.message,
            {
                "batch_id": str(first.batch_id),
                "readings": [
                    {key: reading[key] for key in ("reading_id", "code", "reason")}
                    for reading in readings[start : start + READINGS_A_MESSAGE]
                ],
            },
        )
        for start in parts
    ]


def _data(event: Event, batches: Mapping[UUID, Mapping[str, Any]]) -> Mapping[str, Any]:
    if event.type in (EventType.BATCH_FINISHED, EventType.BATCH_REOPENED):
        batch = batches[event.batch_id] if event.batch_id else {}
        # Of the moment it is about, not of the moment it is told.
        return {**batch, **event.facts}
    return {key: event.facts[key] for key in _ORDER[event.type]}


_TRANSACTION = (
    "transaction_id",
    "batch_id",
    "signature",
    "status",
    "readings",
    "base_units",
    "slot",
)
_ORDER: Mapping[EventType, tuple[str, ...]] = {
    EventType.TRANSACTION_IN_DOUBT: _TRANSACTION,
    EventType.TRANSACTION_RESOLVED: _TRANSACTION,
    EventType.MINTING_STOPPED: ("stop_id", "cause"),
    EventType.MINTING_RESUMED: ("stop_id", "cause"),
}
"""``jsonb`` keeps no order of keys; ours is always the same."""


def _message(event: Event, id_: UUID, data: Mapping[str, Any]) -> Message:
    return Message(f"msg_{id_.hex}", event.type, event.happened_at, data)


def _instant(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
