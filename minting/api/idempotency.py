"""``Idempotency-Key``: a request that is sent again has its effect once (docs/api.md).

``batch_once`` is for what makes or changes a batch: a repeat is told of the batch as it stands.
``answer_once`` is for all else that writes: a repeat gets the first answer.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import MAX_EMAX, MAX_PREC, MIN_EMIN, Context, Decimal
from functools import partial
from hashlib import sha256
from typing import Any, TypeVar

import structlog
from django.db import transaction
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request

from minting import journal
from minting.access import trail
from minting.api.base import caller
from minting.api.errors import (
    IdempotencyKeyInProgress,
    IdempotencyKeyReused,
    InvalidIdempotencyKey,
    InvalidRequest,
)
from minting.journal import KeyedRequest
from minting.models import IdempotencyKey, MintBatch
from minting.service.requests import repeats

log = structlog.get_logger(__name__)

T = TypeVar("T")

LONGEST = 255

_PLAIN = re.compile(r"[\x20-\x7e]+")
# RFC 9651, sf-string: what the IETF's draft asks of the header.
_QUOTED = re.compile(r'"((?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"')

_EXACT = Context(prec=MAX_PREC, Emax=MAX_EMAX, Emin=MIN_EMIN)


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer that is kept to the letter."""

    status: int
    data: Any
    """As JSON has it."""


Written = Callable[[MintBatch], None]
"""What must be called with a batch in the transaction that makes or changes it."""


def batch_once(request: Request, make: Callable[[Written], MintBatch]) -> MintBatch:
    """The batch of this request, made now or when it came before; the trail keeps the call.

    Args:
        request: Whoever asks; without a key, every request is the first.
        make: Does what is asked, and calls what it is given in the transaction that does it.

    Raises:
        InvalidIdempotencyKey, IdempotencyKeyReused, IdempotencyKeyInProgress: As they say.
    """
    named = _named(request)
    if named is None:
        return make(partial(trail.keep_effect, request))

    def written(batch: MintBatch) -> None:
        journal.keep_batch(named, batch)
        trail.keep_effect(request, batch)

    def again(kept: IdempotencyKey) -> MintBatch:
        batch = _batch_of(kept)
        trail.note_repeat(request, batch)
        return batch

    return _once(named, lambda: make(written), again)


def join_batch(request: Request, batch: MintBatch) -> None:
    """Notes that this request is told of a batch that another one made.

    For ``make`` of ``batch_once``, in place of what it was given: the key names the batch from now
    on, and the trail does not take the call for the one that spends.
    """
    named = _named(request)
    if named is not None:
        with transaction.atomic():
            journal.keep_batch(named, batch)
    trail.note_repeat(request, batch)


def answer_once(request: Request, make: Callable[[], Answer]) -> Answer:
    """The answer to this request, found now or when it came before.

    Args:
        request: Whoever asks; without a key, every request is the first.
        make: Does what is asked, in the database alone: it runs inside a transaction.

    Raises:
        InvalidIdempotencyKey, IdempotencyKeyReused, IdempotencyKeyInProgress: As they say.
    """
    named = _named(request)
    if named is None:
        return make()
    return _once(named, lambda: _kept(named, make), _answer_of)


def _once(named: KeyedRequest, run: Callable[[], T], again: Callable[[IdempotencyKey], T]) -> T:
    kept = repeats.find(named)
    if kept is None:
        with repeats.alone(named) as alone:
            kept = repeats.find(named)  # whoever ran until now may have come to its end
            if kept is None:
                if not alone:
                    raise IdempotencyKeyInProgress
                try:
                    return run()
                except Exception:
                    # A commit's answer was lost, or somebody was faster: then it is done.
                    kept = repeats.find(named)
                    if kept is None:
                        raise
    if kept.fingerprint != named.fingerprint:
        raise IdempotencyKeyReused
    log.info("request_repeated", endpoint=named.endpoint, key=named.key, first_at=kept.created_at)
    return again(kept)


def _kept(named: KeyedRequest, make: Callable[[], Answer]) -> Answer:
    with transaction.atomic():
        answer = make()
        text = JSONRenderer().render(answer.data).decode()
        journal.keep_answer(named, status=answer.status, answer=text)
    return answer


def _batch_of(kept: IdempotencyKey) -> MintBatch:
    if kept.batch is None:
        raise AssertionError(f"{kept} was kept for another kind of endpoint")
    return kept.batch


def _answer_of(kept: IdempotencyKey) -> Answer:
    if kept.status is None:
        raise AssertionError(f"{kept} was kept for another kind of endpoint")
    return Answer(kept.status, json.loads(kept.answer))


# ------------------------------------------------------------------ what a request is called


def _named(request: Request) -> KeyedRequest | None:
    """The request by its caller's name for it; ``None`` if it has none."""
    header = request.headers.get("Idempotency-Key")
    if header is None:
        return None
    return KeyedRequest(
        user_id=caller(request).pk,
        endpoint=_endpoint(request),
        key=parse_key(header),
        fingerprint=fingerprint(request.method or "", request.path_info, request.data),
    )


def _endpoint(request: Request) -> str:
    """The name of the route, the same for whatever ids are in the address."""
    match = request.resolver_match
    if match is None or match.url_name is None:
        raise AssertionError(f"{request.path} has no name")
    return match.url_name


def parse_key(header: str) -> str:
    """The key in a header: as it stands, or a string in double quotes as the draft has it.

    Raises:
        InvalidIdempotencyKey: Empty, too long, or not printable ASCII.
    """
    header = header.strip(" \t")
    if header.startswith('"'):
        if not (quoted := _QUOTED.fullmatch(header)):
            raise InvalidIdempotencyKey("In double quotes it must be a string as in RFC 9651")
        key = re.sub(r"\\(.)", r"\1", quoted[1])
    else:
        key = header
    if not key:
        raise InvalidIdempotencyKey("It is empty")
    if len(key) > LONGEST:
        raise InvalidIdempotencyKey(f"It has {len(key)} characters, at most {LONGEST} are taken")
    if not _PLAIN.fullmatch(key):
        raise InvalidIdempotencyKey("It must be printable ASCII")
    return key


def fingerprint(method: str, path: str, body: Any) -> str:
    """SHA-256 of what is asked, in hex; equal for bodies that mean the same.

    Raises:
        InvalidRequest: The body is nested more deeply than we follow.
    """
    try:
        # ascii() tells a number from its string, and every name and value from the next.
        meaning = ascii((method, path, _canonical(body)))
    except RecursionError:
        raise InvalidRequest("The body is nested too deeply") from None
    return sha256(meaning.encode()).hexdigest()


def _canonical(value: Any) -> Any:
    """The same for the same JSON: names in order, numbers by their value."""
    if isinstance(value, Mapping):
        return {name: _canonical(value[name]) for name in sorted(value)}
    if isinstance(value, list):
        return [_canonical(each) for each in value]
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        return Decimal(value or 0).normalize(_EXACT)  # no negative zero
    return value
