"""Keeping the calls that spend: with the effect, and with the answer."""

from __future__ import annotations

import time
from datetime import timedelta

import structlog
from django.contrib.auth.models import User
from django.db import DatabaseError
from django.db.models.functions import Now
from rest_framework.request import Request
from rest_framework.response import Response

from minting.access.models import ApiCall, ApiToken
from minting.access.throttling import address_of
from minting.models import MintBatch

log = structlog.get_logger(__name__)

KEPT = timedelta(days=90)
"""How long calls without an effect stay; those with one stay as long as their batch."""

ROWS_AT_ONCE = 5_000
PASS = 45.0
"""Seconds after which a pass of forgetting stops."""


def keep_effect(request: Request, batch: MintBatch) -> None:
    """To be called in the transaction in which this request makes or changes ``batch``."""
    call = _call(request)
    call.effect, call.batch = True, batch
    call.save(force_insert=True)
    vars(request)["kept_call"] = call


def note_repeat(request: Request, batch: MintBatch) -> None:
    """This request is told of a batch that an earlier one made."""
    call = _call(request)
    call.batch = batch
    vars(request)["kept_call"] = call


def is_kept(request: Request) -> bool:
    """Whether this request made, changed or was told of a batch, whatever it was asked for."""
    return "kept_call" in vars(request)


def keep_answer(request: Request, response: Response) -> None:
    """What the call was answered; whoever calls too often leaves one line in the log instead.

    Never fails: what had an effect is kept already, and its answer must reach the client.
    """
    call = vars(request).get("kept_call") or _call(request)
    call.status = response.status_code
    if response.status_code >= 400 and isinstance(response.data, dict):
        call.code = str(response.data.get("code", ""))[:40]
        call.detail = str(response.data.get("detail", ""))[:300]
    try:
        if not (call.effect and _note_answer(call)):
            _keep_refused(call)
    except DatabaseError:
        log.exception("answer_not_kept", endpoint=call.endpoint, by=call.username)


def forget_refused() -> int:
    """Deletes calls without an effect that were kept long enough; returns how many."""
    forgotten = 0
    end = time.monotonic() + PASS
    while time.monotonic() < end:
        old = ApiCall.objects.filter(effect=False, at__lt=Now() - KEPT).order_by("at")
        freed = ApiCall.objects.filter(id__in=list(old.values_list("id", flat=True)[:ROWS_AT_ONCE]))
        forgotten += (deleted := freed.delete()[0])
        if deleted < ROWS_AT_ONCE:
            break
    return forgotten


def _note_answer(call: ApiCall) -> bool:
    """Whether the row is there: it is not where its transaction was rolled back after all."""
    fields = {"status": call.status, "code": call.code, "detail": call.detail}
    return bool(ApiCall.objects.filter(id=call.id).update(**fields))


def _keep_refused(call: ApiCall) -> None:
    if call.effect:
        call.effect, call.batch = False, None
    call.save(force_insert=True)


def _call(request: Request) -> ApiCall:
    token = request.auth if isinstance(request.auth, ApiToken) else None
    user = request.user if isinstance(request.user, User) else None
    match = request.resolver_match
    return ApiCall(
        user=user,
        username=request.user.get_username(),
        token=token,
        token_beginning=token.beginning if token else "",
        address=address_of(request),
        endpoint=(match.url_name or "")[:40] if match else "",
        path=request.path[:200],
        idempotency_key=_printable(request.headers.get("Idempotency-Key", ""))[:255],
        effect=False,
    )


def _printable(text: str) -> str:
    """A header may hold anything, a NUL too, before it is found to be no key."""
    return text if text.isprintable() else ascii(text)
