"""Stop minting: nothing new is signed anywhere, until a person resumes; recovery goes on."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db import transaction

from minting import journal
from minting.models import MintingStop
from minting.service import nudges
from readings.errors import ReasonRequired


@transaction.atomic
def stop_minting(reason: str, *, by: str) -> MintingStop:
    """Stops all signing; what is signed goes its way, what is queued waits.

    Args:
        reason: Why; kept and shown.
        by: A user's name.

    Returns:
        The stop; while minting is stopped already, the one that stands, with its own reason.

    Raises:
        ReasonRequired: The reason is empty.
    """
    if not reason.strip():
        raise ReasonRequired("Stopping all minting")
    return journal.stop_minting(reason=reason.strip(), by=by)


@transaction.atomic
def resume_minting(*, by: str, only: UUID | None = None) -> MintingStop | None:
    """Lets signing go on and calls workers.

    Args:
        by: A user's name.
        only: The stop that the person saw; one that was made since is not theirs to end unseen.

    Returns:
        The stop that ended; ``None`` where none stood, or another one.
    """
    stop = journal.resume_minting(by=by, only=only)
    if stop is not None:
        # In the same commit: no worker looks before it may.
        nudges.call_for_waiting()
    return stop


def standing_stop() -> MintingStop | None:
    """The stop that stands now, if any."""
    return journal.current_stop()


def by_limit(stop: MintingStop) -> bool:
    """Whether ``MINT_MAX_KWH_PER_DAY`` and no person stopped minting."""
    return bool(stop.stopped_by == journal.DAILY_LIMIT)


def describe_stop(stop: MintingStop) -> dict[str, Any]:
    """A stop as JSON values."""
    return {
        "stopped": stop.resumed_at is None,
        "reason": stop.reason,
        "stopped_by": stop.stopped_by,
        "stopped_at": stop.stopped_at.isoformat(),
        "resumed_by": stop.resumed_by or None,
        "resumed_at": stop.resumed_at.isoformat() if stop.resumed_at else None,
    }
