"""The switch that stops all signing, free of races with those who sign."""

from __future__ import annotations

from uuid import UUID

import structlog

from minting.engine.errors import MintingStopped
from minting.engine.events import EventType
from minting.journal.phase import atomic_phase
from minting.journal.switching import Switch
from minting.journal.telling import tell_switch
from minting.models import MintingStop

log = structlog.get_logger(__name__)

DAILY_LIMIT = "MINT_MAX_KWH_PER_DAY"
"""Stands as ``stopped_by`` where the setting of this name stopped minting."""

_stops = Switch(MintingStop)


@atomic_phase
def stop_minting(*, reason: str, by: str) -> MintingStop:
    """Stops all signing once the caller's transaction commits; recovery goes on.

    Args:
        reason: Why, for people.
        by: A user's name, or the setting that tripped.

    Returns:
        The stop; while minting is stopped already, the one that stands.
    """
    stop, is_new = _stops.throw(reason=reason, stopped_by=by)
    if is_new:
        log.error("minting_stopped", stop_id=str(stop.id), by=by, reason=reason)
        tell_switch(EventType.MINTING_STOPPED, stop, by_limit=stop.stopped_by == DAILY_LIMIT)
    return stop


@atomic_phase
def resume_minting(*, by: str, only: UUID | None = None) -> MintingStop | None:
    """Ends the stop, if it is ``only``; returns it, or ``None`` where nothing ended."""
    stop = _stops.release(by=by, only=only)
    if stop is not None:
        log.warning("minting_resumed", stop_id=str(stop.id), by=by)
        tell_switch(EventType.MINTING_RESUMED, stop, by_limit=stop.stopped_by == DAILY_LIMIT)
    return stop


@atomic_phase
def require_not_stopped() -> None:
    """Keeps minting from being stopped until the caller's transaction ends.

    Raises:
        MintingStopped: It is stopped.
    """
    _refuse(_stops.hold())


def refuse_while_stopped() -> None:
    """For whoever would begin what ``require_not_stopped`` is going to refuse.

    Raises:
        MintingStopped: Minting is stopped.
    """
    _refuse(current_stop())


def current_stop() -> MintingStop | None:
    """The stop that stands, if any; only ``require_not_stopped`` keeps it so."""
    return _stops.standing()


def _refuse(stop: MintingStop | None) -> None:
    if stop is not None:
        raise MintingStopped(stop.reason)
