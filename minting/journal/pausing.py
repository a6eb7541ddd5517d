"""The switch that pauses the poller, free of races with a poll that is making a batch."""

from __future__ import annotations

import structlog
from django.db import connection
from django.db.models.functions import Now

from minting.journal.phase import atomic_phase
from minting.models import PollingPause

log = structlog.get_logger(__name__)

# As for stops: a pause waits for the batch that is being written, and whoever comes to write one
# later sees the pause.
_SHARE = "LOCK TABLE minting_pollingpause IN SHARE MODE"
_ALONE = "LOCK TABLE minting_pollingpause IN SHARE ROW EXCLUSIVE MODE"


@atomic_phase
def pause_polling(*, reason: str, by: str) -> PollingPause:
    """Once the caller's transaction commits, no poll makes a batch any more.

    Args:
        reason: Why, for people.
        by: A user's name.

    Returns:
        The pause; while the poller is paused already, the one that stands.
    """
    _lock(_ALONE)
    standing = current_pause()
    if standing is not None:
        return standing
    pause = PollingPause.objects.create(reason=reason, paused_by=by)
    log.warning("polling_paused", pause_id=str(pause.id), by=by, reason=reason)
    return pause


@atomic_phase
def resume_polling(*, by: str) -> PollingPause | None:
    """Ends the pause; returns it, or ``None`` where there was none."""
    _lock(_ALONE)
    pause = current_pause()
    if pause is None:
        return None
    PollingPause.objects.filter(id=pause.id).update(resumed_by=by, resumed_at=Now())
    pause.refresh_from_db()
    log.warning("polling_resumed", pause_id=str(pause.id), by=by)
    return pause


@atomic_phase
def hold_unpaused() -> PollingPause | None:
    """The pause that stands; where there is none, none begins until the caller's end."""
    _lock(_SHARE)
    return current_pause()


def current_pause() -> PollingPause | None:
    """The pause that stands, if any; only ``hold_unpaused`` keeps it so."""
    return PollingPause.objects.filter(resumed_at__isnull=True).first()


def _lock(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)
