"""The switch that pauses the poller, free of races with a poll that is making a batch."""

from __future__ import annotations

from uuid import UUID

import structlog

from minting.journal.phase import atomic_phase
from minting.journal.switching import Switch
from minting.models import PollingPause

log = structlog.get_logger(__name__)

_pauses = Switch(PollingPause)


@atomic_phase
def pause_polling(*, reason: str, by: str) -> PollingPause:
    """Once the caller's transaction commits, no poll makes a batch any more.

    Args:
        reason: Why, for people.
        by: A user's name.

    Returns:
        The pause; while the poller is paused already, the one that stands.
    """
    pause, is_new = _pauses.throw(reason=reason, paused_by=by)
    if is_new:
        log.warning("polling_paused", pause_id=str(pause.id), by=by, reason=reason)
    return pause


@atomic_phase
def resume_polling(*, by: str, only: UUID | None = None) -> PollingPause | None:
    """Ends the pause, if it is ``only``; returns it, or ``None`` where nothing ended."""
    pause = _pauses.release(by=by, only=only)
    if pause is not None:
        log.warning("polling_resumed", pause_id=str(pause.id), by=by)
    return pause


@atomic_phase
def hold_unpaused() -> PollingPause | None:
    """The pause that stands; where there is none, none begins until the caller's end."""
    return _pauses.hold()


def current_pause() -> PollingPause | None:
    """The pause that stands, if any; only ``hold_unpaused`` keeps it so."""
    return _pauses.standing()
