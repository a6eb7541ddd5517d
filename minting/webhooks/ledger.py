"""The courier's database phases: claim an endpoint, begin an attempt, write what became of it.

Locks in one order: the endpoint, then its delivery, then the attempt. Where a claim is gone (its
lease ran out while its holder slept) nothing of the endpoint is touched but what is true anyway.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import random
from uuid import UUID, uuid4

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import F, QuerySet
from django.db.models.functions import Now

from gridtoken.clock import database_time
from minting.engine.events import DeliveryState, Outcome
from minting.models import WebhookAttempt, WebhookDelivery, WebhookEndpoint
from minting.webhooks import backoff, signing
from minting.webhooks.post import Answer, Letter

log = structlog.get_logger(__name__)

LEASE = timedelta(seconds=60)
"""Long against one attempt (``post.TOTAL_TIMEOUT``), short against a person's patience."""

DISABLED_AFTER = timedelta(days=5)
"""Without a single success."""

KEY_CHANGED = "DJANGO_SECRET_KEY has changed: its secret is another one. Make a new secret."


@dataclass(frozen=True, slots=True)
class Claim:
    """An endpoint that nobody else sends to, as long as ``token`` is the row's claim."""

    endpoint: UUID
    token: UUID


@dataclass(frozen=True, slots=True)
class Errand:
    """An attempt that is written down and not sent yet."""

    claim: Claim
    delivery: int
    attempt: int
    letter: Letter


@transaction.atomic
def claim_endpoints(limit: int) -> list[Claim]:
    """Claims endpoints that something is due to; those first that were served longest ago."""
    if limit <= 0:
        return []
    due = (
        WebhookEndpoint.objects.due()
        .select_for_update(no_key=True, skip_locked=True)
        .order_by(F("last_attempt_at").asc(nulls_first=True), "id")
    )
    claims = [Claim(id_, uuid4()) for id_ in due.values_list("id", flat=True)[:limit]]
    for claim in claims:
        WebhookEndpoint.objects.filter(id=claim.endpoint).update(
            claim=claim.token, lease_until=Now() + LEASE
        )
    return claims


@transaction.atomic
def release(claim: Claim) -> None:
    """Lets others send to it."""
    WebhookEndpoint.objects.filter(id=claim.endpoint, claim=claim.token).update(
        claim=None, lease_until=None
    )


@transaction.atomic
def begin(claim: Claim) -> Errand | None:
    """Writes down the next attempt: of what is due, what has the lowest number.

    Returns:
        Nothing where nothing is due, the endpoint is to be left alone, or the claim is gone.
    """
    endpoint = _hold(claim)
    if endpoint is None or not endpoint.enabled or endpoint.removed_at:
        return None
    now = database_time()
    if endpoint.rests_until and endpoint.rests_until > now:
        return None
    _close_interrupted(endpoint)
    delivery = endpoint.deliveries.due().select_for_update(no_key=True).order_by("sequence").first()
    if delivery is None:
        return None
    try:
        keys = keys_of(endpoint, now)
    except KeyChangedError:
        disable(endpoint, KEY_CHANGED)
        return None
    attempt = WebhookAttempt.objects.create(delivery=delivery, number=delivery.attempts + 1)
    WebhookDelivery.objects.filter(id=delivery.id).update(attempts=F("attempts") + 1)
    WebhookEndpoint.objects.filter(id=endpoint.id).update(
        lease_until=Now() + LEASE, last_attempt_at=Now()
    )
    content = delivery.body.encode()
    headers = signing.headers(delivery.message, int(now.timestamp()), content, keys)
    return Errand(claim, delivery.id, attempt.id, Letter(endpoint.url, headers, content))


@transaction.atomic
def record(errand: Errand, answer: Answer) -> None:
    """Writes down what became of an attempt, and what follows from it."""
    endpoint = _hold(errand.claim)
    accepted = answer.outcome is Outcome.ACCEPTED
    WebhookAttempt.objects.filter(id=errand.attempt).update(
        outcome=answer.outcome,
        took_ms=round(answer.took.total_seconds() * 1000),
        status=answer.status,
        address=answer.address,
        answer=answer.text,
        error=answer.error,
    )
    if accepted:
        _delivered(errand.delivery, answer)
    if endpoint is None:
        log.warning("webhook_claim_lost", endpoint_id=str(errand.claim.endpoint))
        return
    if accepted:
        _well(endpoint)
        return
    _failed(errand.delivery, answer)
    _unwell(endpoint, answer)


class KeyChangedError(RuntimeError):
    """The secret that can be derived now is not the one that was shown."""


def keys_of(endpoint: WebhookEndpoint, now: datetime) -> list[bytes]:
    """The secrets that sign now, the newest first.

    Raises:
        KeyChangedError: The installation's key is another one than when the secret was made.
    """
    newest = signing.secret(settings.SECRET_KEY, endpoint.id, endpoint.salt)
    if not secrets.compare_digest(signing.check(newest), endpoint.secret_check):
        raise KeyChangedError
    keys = [newest]
    if endpoint.previous_until and endpoint.previous_until > now:
        keys.append(signing.secret(settings.SECRET_KEY, endpoint.id, endpoint.previous_salt))
    return keys


def disable(endpoint: WebhookEndpoint, reason: str) -> None:
    """Sends nothing more until a person enables it; the caller holds its lock."""
    WebhookEndpoint.objects.filter(id=endpoint.id).update(
        enabled=False, disabled_reason=reason, disabled_by="", rests_until=None
    )
    log.error("webhook_endpoint_disabled", endpoint_id=str(endpoint.id), reason=reason)


def _hold(claim: Claim) -> WebhookEndpoint | None:
    """The endpoint, locked, if it is still ours."""
    return (
        WebhookEndpoint.objects.select_for_update(no_key=True)
        .filter(id=claim.endpoint, claim=claim.token)
        .first()
    )


def _close_interrupted(endpoint: WebhookEndpoint) -> None:
    """Whoever sent these died, or slept past its lease: the claim is ours now."""
    closed = WebhookAttempt.objects.filter(
        delivery__endpoint=endpoint, outcome=Outcome.SENDING
    ).update(
        outcome=Outcome.INTERRUPTED,
        error="The worker that sent it ended; whether it arrived is not known.",
    )
    if closed:
        log.warning("webhook_attempt_interrupted", endpoint_id=str(endpoint.id), attempts=closed)


def _delivered(delivery: int, answer: Answer) -> None:
    WebhookDelivery.objects.filter(id=delivery).exclude(state=DeliveryState.DELIVERED).update(
        state=DeliveryState.DELIVERED,
        delivered_at=Now(),
        last_status=answer.status,
        last_error="",
    )


def _failed(delivery_id: int, answer: Answer) -> None:
    """Waits for the next attempt, or is given up."""
    delivery = (
        WebhookDelivery.objects.pending().select_for_update(no_key=True).filter(id=delivery_id)
    ).first()
    if delivery is None:
        return
    delivery.failures += 1
    delivery.last_status, delivery.last_error = answer.status, answer.error
    wait = backoff.wait(delivery.failures, random())  # noqa: S311 — spreads, hides nothing
    now = database_time()
    due_at = None if wait is None else now + wait
    if answer.outcome is Outcome.GONE or due_at is None or due_at > delivery.give_up_at:
        delivery.state = DeliveryState.FAILED
        log.error(
            "webhook_failed",
            endpoint_id=str(delivery.endpoint_id),
            message=delivery.message,
            attempts=delivery.attempts,
        )
    else:
        asked = min(answer.retry_after or timedelta(0), backoff.LONGEST_ASKED)
        delivery.due_at = max(due_at, now + asked)
    delivery.save(
        update_fields=["failures", "last_status", "last_error", "state", "due_at"],
    )


def _well(endpoint: WebhookEndpoint) -> None:
    """An endpoint that works again gets what waited for it, now."""
    WebhookEndpoint.objects.filter(id=endpoint.id).update(
        failures=0, failing_since=None, rests_until=None, last_success_at=Now()
    )
    if endpoint.failures >= backoff.RESTS_AFTER:
        endpoint.deliveries.pending().filter(due_at__gt=Now()).update(due_at=Now())


def _unwell(endpoint: WebhookEndpoint, answer: Answer) -> None:
    now = database_time()
    failures = endpoint.failures + 1
    rest = backoff.rest(failures, answer.retry_after, random())  # noqa: S311
    WebhookEndpoint.objects.filter(id=endpoint.id).update(
        failures=failures,
        failing_since=endpoint.failing_since or now,
        rests_until=now + rest if rest else None,
    )
    if answer.outcome is Outcome.GONE:
        disable(endpoint, "It answered 410 Gone: it wants to be told nothing more.")
    elif endpoint.failing_since and endpoint.failing_since < now - DISABLED_AFTER:
        disable(endpoint, f"No success for {DISABLED_AFTER.days} days.")


@transaction.atomic
def give_up_overdue() -> int:
    """Ends deliveries that were tried for long enough; those of disabled endpoints wait on."""
    overdue = WebhookDelivery.objects.pending().filter(give_up_at__lte=Now())
    enabled = lock_endpoints(
        WebhookEndpoint.objects.filter(enabled=True, id__in=overdue.values("endpoint"))
    )
    ended = overdue.filter(endpoint__in=enabled).update(state=DeliveryState.FAILED)
    if ended:
        log.error("webhooks_given_up", deliveries=ended)
    return ended


def lock_endpoints(endpoints: QuerySet[WebhookEndpoint]) -> list[UUID]:
    """Locks them, in one order: what changes many deliveries holds their endpoints first."""
    locked = endpoints.select_for_update(no_key=True).order_by("id")
    return list(locked.values_list("id", flat=True))
