"""Pausing the poller and letting it go on."""

from __future__ import annotations

from uuid import UUID

from django.db import transaction

from minting import journal
from minting.models import PollingPause
from minting.service import nudges
from minting.service.polling import book
from readings.errors import ReasonRequired


@transaction.atomic
def pause_polling(reason: str, *, by: str) -> PollingPause:
    """No poll makes a batch any more; what is queued goes its way.

    Args:
        reason: Why; kept and shown.
        by: A user's name.

    Returns:
        The pause; while the poller is paused already, the one that stands, with its own reason.

    Raises:
        ReasonRequired: The reason is empty.
    """
    if not reason.strip():
        raise ReasonRequired("Pausing the poller")
    return journal.pause_polling(reason=reason.strip(), by=by)


@transaction.atomic
def resume_polling(*, by: str, only: UUID | None = None) -> PollingPause | None:
    """Lets polls go on, the first of them now, whatever failed before.

    Args:
        by: A user's name.
        only: The pause that the person saw; one that was made since is not theirs to end unseen.

    Returns:
        The pause that ended; ``None`` where none stood, or another one.
    """
    pause = journal.resume_polling(by=by, only=only)
    if pause is not None:
        book.forgive()
        nudges.call_poller()
    return pause


def standing_pause() -> PollingPause | None:
    """The pause that stands now, if any."""
    return journal.current_pause()
