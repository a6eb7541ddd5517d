"""The switch that stops all signing, free of races with those who sign."""

from __future__ import annotations

import structlog
from django.db import connection
from django.db.models.functions import Now

from minting.engine.errors import MintingStopped
from minting.engine.events import EventType
from minting.journal.phase import atomic_phase
from minting.journal.telling import tell_switch
from minting.models import MintingStop

log = structlog.get_logger(__name__)

DAILY_LIMIT = "MINT_MAX_KWH_PER_DAY"
"""Stands as ``stopped_by`` where the setting of this name stopped minting."""

# Conflicts with the row that a stop inserts, and not with itself: a stop waits for the waves that
# are being journalled, and whoever comes to journal one later sees the stop.
_SHARE = "LOCK TABLE minting_mintingstop IN SHARE MODE"
_ALONE = "LOCK TABLE minting_mintingstop IN SHARE ROW EXCLUSIVE MODE"


@atomic_phase
def stop_minting(*, reason: str, by: str) -> MintingStop:
    """Stops all signing once the caller's transaction commits; recovery goes on.

    Args:
        reason: Why, for people.
        by: A user's name, or the setting that tripped.

    Returns:
        The stop; while minting is stopped already, the one that stands.
    """
    _lock(_ALONE)
    standing = current_stop()
    if standing is not None:
        return standing
    stop = MintingStop.objects.create(reason=reason, stopped_by=by)
    log.error("minting_stopped", stop_id=str(stop.id), by=by, reason=reason)
    tell_switch(EventType.MINTING_STOPPED, stop, by_limit=stop.stopped_by == DAILY_LIMIT)
    return stop


@atomic_phase
def resume_minting(*, by: str) -> MintingStop | None:
    """Ends the stop; returns it, or ``None`` where minting was not stopped."""
    _lock(_ALONE)
    stop = current_stop()
    if stop is None:
        return None
    MintingStop.objects.filter(id=stop.id).update(resumed_by=by, resumed_at=Now())
    stop.refresh_from_db()
    log.warning("minting_resumed", stop_id=str(stop.id), by=by)
    tell_switch(EventType.MINTING_RESUMED, stop, by_limit=stop.stopped_by == DAILY_LIMIT)
    return stop


@atomic_phase
def require_not_stopped() -> None:
    """Keeps minting from being stopped until the caller's transaction ends.

    Raises:
        MintingStopped: It is stopped.
    """
    _lock(_SHARE)
    refuse_while_stopped()


def refuse_while_stopped() -> None:
    """For whoever would begin what ``require_not_stopped`` is going to refuse.

    Raises:
        MintingStopped: Minting is stopped.
    """
    stop = current_stop()
    if stop is not None:
        raise MintingStopped(stop.reason)


def current_stop() -> MintingStop | None:
    """The stop that stands, if any; only ``require_not_stopped`` keeps it so."""
    return MintingStop.objects.filter(resumed_at__isnull=True).first()


def _lock(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)
