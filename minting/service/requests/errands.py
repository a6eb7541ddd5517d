"""Errands: what a worker does for a person who looks on, told to one row that any page can read.

Claimed by compare-and-set under a fence, like slices: a task may be lost, repeated or run twice, a
worker may die in the middle. Who looks at the page calls a worker again where nobody works; what
nobody looks at any more goes with its selection (``selections.forget_old``).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import structlog
from django.db import transaction
from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils import timezone

from minting.engine.errands import OPEN_ERRANDS, ErrandKind, ErrandStatus
from minting.engine.errors import BlockchainError
from minting.models import Errand, MintSelection
from minting.service import nudges

log = structlog.get_logger(__name__)

LEASES: Mapping[str, timedelta] = {
    ErrandKind.PREVIEW: timedelta(minutes=3),
    ErrandKind.RELEASE: timedelta(minutes=3),
    # A batch is written in one transaction, during which nothing else can be told.
    ErrandKind.MINT: timedelta(minutes=10),
}
"""How long a worker may be silent. What known dead workers held is free at once (``free``)."""

STARTS = 3
"""Claims after which an errand is given up: its workers die of it, or run out of time."""

CALLED_AGAIN = timedelta(seconds=15)
"""After so long without anybody at work, whoever looks calls a worker again."""

BEAT = 0.5
"""Seconds between two tellings of how far it is."""


class ErrandLostError(Exception):
    """Somebody else works on it now, or it is not wanted any more: stop, and write nothing."""


class Beat:
    """How a worker tells how far it is, and hears that it is to stop."""

    def __init__(self, errand: Errand) -> None:
        """Told of nothing yet."""
        self._errand = errand
        self._next = 0.0

    def begin(self, total: int) -> None:
        """Of how many."""
        self._write(total=total, done=0)

    def __call__(self, done: int) -> None:
        """So many are done; written from time to time only.

        Raises:
            ErrandLostError: the claim is somebody else's.
        """
        if time.monotonic() >= self._next:
            self._write(done=done)

    def keep(self, done: int, answer: dict[str, Any]) -> None:
        """So many are done, with what whoever takes it up again has to know."""
        self._write(done=done, answer=answer)

    def _write(self, **values: Any) -> None:
        self._next = time.monotonic() + BEAT
        lease = Now() + LEASES[self._errand.kind]
        if not _held(self._errand).update(lease_until=lease, **values):
            raise ErrandLostError(str(self._errand.pk))


Work = Callable[[Errand, Beat], dict[str, Any]]
"""Does it and returns its answer, as JSON; refuses with a ``BlockchainError``."""


def find(selection: MintSelection, kind: ErrandKind) -> Errand | None:
    """The errand of this kind, if it was asked for."""
    return selection.errands.filter(kind=kind).first()


@transaction.atomic
def ask(selection: MintSelection, kind: ErrandKind, **wish: Any) -> Errand:
    """Asks for it and calls a worker; what was asked before stays as it is.

    Args:
        selection: What it is about.
        kind: What is to be done.
        wish: What else has to be known.
    """
    errand, is_new = Errand.objects.get_or_create(
        selection=selection, kind=kind, defaults={"wish": wish, "called_at": timezone.now()}
    )
    if is_new:
        nudges.call_for_errand(errand.pk)
    return errand


@transaction.atomic
def ask_anew(errand: Errand) -> Errand:
    """Has one that ended done again, from its beginning."""
    now = timezone.now()
    again = Errand.objects.filter(pk=errand.pk).exclude(status__in=OPEN_ERRANDS)
    if again.update(
        status=ErrandStatus.WAITING,
        done=0,
        total=0,
        answer=None,
        error="",
        error_code="",
        starts=0,
        asked_at=now,
        called_at=now,
        finished_at=None,
    ):
        nudges.call_for_errand(errand.pk)
    errand.refresh_from_db()
    return errand


@transaction.atomic
def call_if_left(errand: Errand) -> None:
    """Calls a worker again where nobody works on it and the last call is some time ago."""
    now = timezone.now()
    left = _free().filter(pk=errand.pk, called_at__lt=now - CALLED_AGAIN)
    if left.update(called_at=now):
        nudges.call_for_errand(errand.pk)


def run(errand_id: UUID, works: Mapping[str, Work], *, worker: str) -> str:
    """Does an errand, unless somebody else does or did.

    Args:
        errand_id: Which.
        works: How each kind is done.
        worker: Who does it, as the watchdog knows it.

    Returns:
        What it is now, in a word.
    """
    errand = _claim(errand_id, worker)
    if errand is None:
        return "nothing to do"
    try:
        answer = works[errand.kind](errand, Beat(errand))
    except ErrandLostError:
        log.info("errand_lost", errand=str(errand.pk), kind=errand.kind)
        return "lost"
    except BlockchainError as refused:
        return _end(errand, ErrandStatus.FAILED, error=str(refused), error_code=refused.code)
    except Exception:
        # The queue keeps the traceback; the errand is free for another try.
        _held(errand).update(status=ErrandStatus.WAITING, claim=None, lease_until=None)
        raise
    return _end(errand, ErrandStatus.DONE, answer=answer)


@transaction.atomic
def free(workers: Collection[str]) -> int:
    """Frees what workers held that are known to be gone, and calls others; returns how many."""
    held = Errand.objects.filter(status=ErrandStatus.RUNNING, claimed_by__in=list(workers))
    freed = 0
    for errand in held:
        if _held(errand).update(status=ErrandStatus.WAITING, claim=None, lease_until=None):
            nudges.call_for_errand(errand.pk)
            freed += 1
    return freed


def _free() -> Any:
    """Nobody works on them."""
    return Errand.objects.filter(
        Q(status=ErrandStatus.WAITING) | Q(status=ErrandStatus.RUNNING, lease_until__lt=Now())
    )


def _held(errand: Errand) -> Any:
    return Errand.objects.filter(pk=errand.pk, claim=errand.claim)


def _claim(errand_id: UUID, worker: str) -> Errand | None:
    free_one = _free().filter(pk=errand_id)
    given_up = free_one.filter(starts__gte=STARTS).update(
        status=ErrandStatus.FAILED,
        claim=None,
        lease_until=None,
        finished_at=timezone.now(),
        error_code="gave_up",
        error=f"{STARTS} workers began this and none came to its end.",
    )
    if given_up:
        log.warning("errand_given_up", errand=str(errand_id))
        return None
    claim = uuid4()
    if not free_one.update(
        status=ErrandStatus.RUNNING,
        claim=claim,
        claimed_by=worker,
        lease_until=Now() + LEASES[ErrandKind.PREVIEW],
        starts=F("starts") + 1,
    ):
        return None
    return Errand.objects.select_related("selection__created_by").get(pk=errand_id, claim=claim)


def _end(errand: Errand, status: ErrandStatus, **values: Any) -> str:
    ended = _held(errand).update(
        status=status, claim=None, lease_until=None, finished_at=timezone.now(), **values
    )
    return status.value if ended else "lost"
