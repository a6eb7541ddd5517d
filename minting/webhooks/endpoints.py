"""What people do with endpoints. Each is one database transaction, and a line in the log."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Now
from uuid_utils.compat import uuid7

from gridtoken.clock import database_time
from minting.engine.events import DeliveryState, EventType
from minting.models import WebhookDelivery, WebhookEndpoint
from minting.service import nudges
from minting.webhooks import signing
from minting.webhooks.addresses import judge_url
from minting.webhooks.backoff import PATIENCE
from minting.webhooks.ledger import lock_endpoints
from minting.webhooks.outbox import number
from minting.webhooks.payloads import test_message

log = structlog.get_logger(__name__)

CHOOSABLE = tuple(each for each in EventType if each is not EventType.TEST)

OVERLAP = timedelta(hours=24)
"""For so long the secret that is being replaced signs beside the new one."""


def make_endpoint(
    *, url: str, events: Sequence[EventType], by: str, description: str = ""
) -> tuple[WebhookEndpoint, str]:
    """A new endpoint, and its secret, which nobody is told again.

    Raises:
        UrlRefused: Nothing may be sent there.
    """
    judge_url(url, allow_private=settings.WEBHOOK_ALLOW_PRIVATE)
    id_ = UUID(int=uuid7().int)
    salt, key = _new_secret(id_)
    endpoint = WebhookEndpoint.objects.create(
        id=id_,
        url=url,
        description=description,
        events=sorted({each.value for each in events}),
        created_by=by,
        salt=salt,
        secret_check=signing.check(key),
    )
    log.info("webhook_endpoint_made", endpoint_id=str(id_), by=by, events=endpoint.events)
    return endpoint, signing.shown(key)


@transaction.atomic
def change_endpoint(
    id_: UUID, *, url: str, events: Sequence[EventType], description: str, by: str
) -> None:
    """Where it is sent from now on, and what.

    Raises:
        UrlRefused: Nothing may be sent there.
    """
    judge_url(url, allow_private=settings.WEBHOOK_ALLOW_PRIVATE)
    endpoint = _locked(id_)
    endpoint.url, endpoint.description = url, description
    endpoint.events = sorted({each.value for each in events})
    endpoint.save(update_fields=["url", "description", "events"])
    log.info("webhook_endpoint_changed", endpoint_id=str(id_), by=by, events=endpoint.events)


@transaction.atomic
def renew_secret(id_: UUID, *, by: str, at_once: bool = False) -> str:
    """A new secret, which nobody is told again.

    Args:
        id_: Whose.
        by: Who asks.
        at_once: The old one is known to others: it signs nothing more. Else both sign for
            ``OVERLAP``, so that a receiver can change it without losing a message.
    """
    endpoint = _locked(id_)
    old = signing.secret(settings.SECRET_KEY, id_, endpoint.salt)
    usable = signing.check(old) == endpoint.secret_check
    keep = usable and not at_once
    endpoint.previous_salt = endpoint.salt if keep else ""
    endpoint.previous_until = database_time() + OVERLAP if keep else None
    endpoint.salt, key = _new_secret(id_)
    endpoint.secret_check = signing.check(key)
    endpoint.save(update_fields=["salt", "secret_check", "previous_salt", "previous_until"])
    log.warning("webhook_secret_renewed", endpoint_id=str(id_), by=by, at_once=at_once)
    return signing.shown(key)


@transaction.atomic
def enable_endpoint(id_: UUID, *, by: str) -> int:
    """Sends again, and what waited first; returns how much that is."""
    endpoint = _locked(id_)
    endpoint.enabled, endpoint.disabled_reason, endpoint.disabled_by = True, "", ""
    endpoint.failures, endpoint.failing_since, endpoint.rests_until = 0, None, None
    endpoint.save(
        update_fields=[
            "enabled",
            "disabled_reason",
            "disabled_by",
            "failures",
            "failing_since",
            "rests_until",
        ]
    )
    waiting = endpoint.deliveries.pending().update(
        due_at=Now(), give_up_at=Now() + PATIENCE, failures=0
    )
    log.info("webhook_endpoint_enabled", endpoint_id=str(id_), by=by, waiting=waiting)
    nudges.call_courier()
    return waiting


@transaction.atomic
def disable_endpoint(id_: UUID, *, by: str) -> None:
    """Sends nothing until it is enabled; what happens meanwhile is numbered and waits."""
    endpoint = _locked(id_)
    _disable(endpoint, by)
    endpoint.save(update_fields=_DISABLED)
    log.warning("webhook_endpoint_disabled_by_person", endpoint_id=str(id_), by=by)


@transaction.atomic
def remove_endpoint(id_: UUID, *, by: str) -> None:
    """For good. Its log stays as long as any; what was not sent is not."""
    endpoint = _locked(id_)
    _disable(endpoint, by)
    endpoint.removed_at, endpoint.salt, endpoint.previous_salt = database_time(), "", ""
    endpoint.save(update_fields=[*_DISABLED, "removed_at", "salt", "previous_salt"])
    endpoint.deliveries.pending().update(state=DeliveryState.FAILED)
    log.warning("webhook_endpoint_removed", endpoint_id=str(id_), by=by)


@transaction.atomic
def send_test(id_: UUID, *, by: str) -> WebhookDelivery:
    """One more message, numbered like all others, that says nothing has happened."""
    endpoint = _locked(id_)
    now = database_time()
    delivery = number(endpoint, test_message(UUID(int=uuid7().int), now), now)
    endpoint.rests_until = None  # who asks for a test wants an answer
    endpoint.save(update_fields=["last_sequence", "rests_until"])
    delivery.save()
    log.info("webhook_test", endpoint_id=str(id_), by=by)
    nudges.call_courier()
    return delivery


@transaction.atomic
def replay(deliveries: QuerySet[WebhookDelivery], *, by: str) -> int:
    """Sends these again, the same bytes under the same ``webhook-id``; returns how many.

    What is pending is sent now instead of later. Those of removed endpoints stay as they are.
    """
    standing = lock_endpoints(
        WebhookEndpoint.objects.standing().filter(id__in=deliveries.order_by().values("endpoint"))
    )
    WebhookEndpoint.objects.filter(id__in=standing).update(rests_until=None)
    again = WebhookDelivery.objects.filter(
        pk__in=deliveries.order_by().values("pk"), endpoint__in=standing
    ).update(
        state=DeliveryState.PENDING,
        due_at=Now(),
        give_up_at=Now() + PATIENCE,
        failures=0,
        replayed_by=by,
        replayed_at=Now(),
    )
    if again:
        log.warning("webhooks_replayed", deliveries=again, by=by)
        nudges.call_courier()
    return again


def replay_failed(id_: UUID, *, since: datetime, by: str) -> int:
    """The same with all of an endpoint that failed since then."""
    failed = WebhookDelivery.objects.filter(
        endpoint=id_, state=DeliveryState.FAILED, created_at__gte=since
    )
    return replay(failed, by=by)


_DISABLED = ["enabled", "disabled_reason", "disabled_by"]


def _disable(endpoint: WebhookEndpoint, by: str) -> None:
    endpoint.enabled, endpoint.disabled_reason, endpoint.disabled_by = False, f"By {by}.", by


def _locked(id_: UUID) -> WebhookEndpoint:
    return WebhookEndpoint.objects.standing().select_for_update(no_key=True).get(id=id_)


def _new_secret(endpoint: UUID) -> tuple[str, bytes]:
    salt = secrets.token_hex(signing.SALT_BYTES)
    return salt, signing.secret(settings.SECRET_KEY, endpoint, salt)
