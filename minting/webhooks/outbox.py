"""Events become numbered deliveries: one database transaction, whoever comes first (W2, W3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import structlog
from django.db import connection, transaction

from gridtoken.clock import database_time
from minting.engine.events import EventType
from minting.models import MintBatch, WebhookDelivery, WebhookEndpoint, WebhookEvent
from minting.service.describe import describe_batches
from minting.webhooks.backoff import PATIENCE
from minting.webhooks.payloads import Event, Message, body, messages

log = structlog.get_logger(__name__)

EVENTS_AT_ONCE, READINGS_AT_ONCE = 200, 10_000
"""Of one transaction; an event may name a thousand failed readings."""

_ONE_AT_A_TIME = 0x6772_6964_686F_6F6B
"""For ``pg_try_advisory_xact_lock``: two at once would number in each other's order."""


def hand_out() -> int:
    """Makes the deliveries of all events that wait; returns of how many events.

    Nothing while somebody else is at it.
    """
    handed = 0
    while part := _hand_out_some():
        handed += part
    return handed


@transaction.atomic
def _hand_out_some() -> int:
    if not WebhookEvent.objects.exists() or not _alone():
        return 0
    rows = _oldest()
    told = messages([_event(row) for row in rows], _described(rows))
    endpoints = list(
        WebhookEndpoint.objects.standing().select_for_update(no_key=True).order_by("id")
    )
    now = database_time()
    WebhookDelivery.objects.bulk_create(
        number(endpoint, message, now)
        for message in told
        for endpoint in endpoints
        if message.type.value in endpoint.events
    )
    WebhookEndpoint.objects.bulk_update(endpoints, ["last_sequence"])
    WebhookEvent.objects.filter(id__in=[row.id for row in rows]).delete()
    log.info("events_handed_out", events=len(rows), messages=len(told))
    return len(rows)


def number(endpoint: WebhookEndpoint, message: Message, now: datetime) -> WebhookDelivery:
    """The delivery of a message, with the endpoint's next number.

    The caller holds the endpoint's lock, and stores both.
    """
    endpoint.last_sequence += 1
    return WebhookDelivery(
        endpoint=endpoint,
        sequence=endpoint.last_sequence,
        message=message.id,
        type=message.type,
        body=body(message, endpoint.last_sequence),
        created_at=now,
        due_at=now,
        give_up_at=now + PATIENCE,
    )


def _oldest() -> list[WebhookEvent]:
    """In the order in which they were written, no more than fit into memory well."""
    rows: list[WebhookEvent] = []
    readings = 0
    waiting = WebhookEvent.objects.order_by("id")[:EVENTS_AT_ONCE]
    for row in waiting.iterator(chunk_size=10):
        rows.append(row)
        if row.type == EventType.READING_FAILED:
            readings += len(row.facts["readings"])
        if readings >= READINGS_AT_ONCE:
            break
    return rows


def _alone() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [_ONE_AT_A_TIME])
        return bool(cursor.fetchone()[0])


def _event(row: WebhookEvent) -> Event:
    return Event(row.message, EventType(row.type), row.batch_id, row.facts, row.happened_at)


def _described(rows: Sequence[WebhookEvent]) -> Mapping[UUID, Mapping[str, Any]]:
    ids = {row.batch_id for row in rows if row.batch_id and row.type.startswith("batch.")}
    if not ids:
        return {}
    batches = list(MintBatch.objects.filter(id__in=ids))
    return dict(zip((batch.id for batch in batches), describe_batches(batches), strict=True))
