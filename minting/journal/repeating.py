"""What a request came to, kept under the caller's key in the transaction of its effect."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from django.db.models.functions import Now

from minting.journal.phase import atomic_phase
from minting.models import IdempotencyKey, MintBatch


@dataclass(frozen=True, slots=True)
class KeyedRequest:
    """A request by the name that its caller gave it."""

    user_id: int
    endpoint: str
    key: str
    fingerprint: str
    """Of what it asks: the same for a repeat, another for another request."""


@atomic_phase
def keep_batch(request: KeyedRequest, batch: MintBatch) -> None:
    """A repeat of this request means this batch.

    Raises:
        IntegrityError: The key is taken; the effect must not stay either.
    """
    _keep(request, batch=batch)


@atomic_phase
def keep_answer(request: KeyedRequest, *, status: int, answer: str) -> None:
    """A repeat of this request gets this answer.

    Raises:
        IntegrityError: The key is taken; the effect must not stay either.
    """
    _keep(request, status=status, answer=answer)


def _keep(request: KeyedRequest, **outcome: object) -> None:
    IdempotencyKey.objects.create(
        user_id=request.user_id,
        endpoint=request.endpoint,
        key=request.key,
        fingerprint=request.fingerprint,
        **outcome,
    )


@atomic_phase
def forget_requests(*, older_than: timedelta, limit: int) -> int:
    """Frees the oldest keys of that age; returns how many, ``limit`` at most.

    Those that somebody else is about to free are left to him.
    """
    old = (
        IdempotencyKey.objects.select_for_update(skip_locked=True)
        .filter(created_at__lt=Now() - older_than)
        .order_by("created_at")
        .values_list("id", flat=True)[:limit]
    )
    return IdempotencyKey.objects.filter(id__in=list(old)).delete()[0]
