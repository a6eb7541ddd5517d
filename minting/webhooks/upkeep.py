"""Who calls a courier, and what is given up or forgotten."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import structlog
from django.db import connection
from django_q.brokers import get_broker
from redis import RedisError

from minting.models import WebhookEndpoint, WebhookEvent
from minting.service import nudges
from minting.webhooks import ledger

log = structlog.get_logger(__name__)

KEPT = timedelta(days=30)
"""Deliveries and their attempts."""

FORGOTTEN_AT_ONCE = 5_000
"""Deliveries of one statement: locks are short, however many there are."""


@dataclass(frozen=True, slots=True)
class TidyReport:
    """What one round ended and forgot."""

    given_up: int
    forgotten: int
    endpoints: int


def anything_due() -> bool:
    """Whether something happened that nobody handed out, or is to be sent now."""
    return WebhookEvent.objects.exists() or WebhookEndpoint.objects.due().exists()


def call_if_due() -> bool:
    """Calls a courier if there is something to do; returns whether."""
    due = anything_due()
    if due:
        nudges.call_courier()
    return due


def call_if_unattended() -> bool:
    """The same for whoever looks often: not where tasks wait, one of which may be that call."""
    try:
        return get_broker().queue_size() == 0 and call_if_due()
    except RedisError as error:
        log.warning("broker_away", reason=str(error))
        return False


def tidy() -> TidyReport:
    """Ends what was tried long enough, and forgets what is old."""
    report = TidyReport(
        given_up=ledger.give_up_overdue(), forgotten=_forget(), endpoints=_forget_endpoints()
    )
    log.info("webhooks_tidied", given_up=report.given_up, forgotten=report.forgotten)
    return report


_FORGET = """
WITH old AS (
    SELECT id FROM minting_webhookdelivery
    WHERE created_at < statement_timestamp() - make_interval(secs => %(kept)s)
    ORDER BY created_at LIMIT %(most)s FOR UPDATE SKIP LOCKED
), tries AS (
    DELETE FROM minting_webhookattempt WHERE delivery_id IN (SELECT id FROM old)
)
DELETE FROM minting_webhookdelivery WHERE id IN (SELECT id FROM old)
"""


def _forget() -> int:
    forgotten: int = 0
    while True:
        with connection.cursor() as cursor:
            cursor.execute(_FORGET, {"kept": KEPT.total_seconds(), "most": FORGOTTEN_AT_ONCE})
            forgotten += cursor.rowcount
            if cursor.rowcount < FORGOTTEN_AT_ONCE:
                return forgotten


def _forget_endpoints() -> int:
    """Removed ones of which nothing is left."""
    empty = WebhookEndpoint.objects.filter(removed_at__isnull=False, deliveries__isnull=True)
    forgotten, _ = empty.delete()
    return int(forgotten)
