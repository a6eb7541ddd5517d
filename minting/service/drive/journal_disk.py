"""Whether workers can write the journal's file: nothing is signed where they cannot."""

from __future__ import annotations

import socket
from datetime import timedelta

import structlog
from django.db.models.functions import Now

from minting.engine.errors import JournalUnwritable
from minting.models import Pulse, PulseKind

log = structlog.get_logger(__name__)

BELIEVED = timedelta(seconds=30)
"""A worker that cannot write asks again within ten seconds, and says so each time."""


def note(full: JournalUnwritable) -> None:
    """For people to see, in the log and on the pages of the batches that wait."""
    log.error(full.code, reason=str(full))
    seen = {"checked_at": Now(), "trouble": str(full)}
    Pulse.objects.update_or_create(kind=PulseKind.JOURNAL, name=socket.gethostname(), defaults=seen)


def trouble() -> str:
    """Why some machine's workers could not write a moment ago; empty if all could."""
    rows = Pulse.objects.filter(kind=PulseKind.JOURNAL, checked_at__gt=Now() - BELIEVED)
    row = rows.order_by("-checked_at").first()
    return f"on {row.name}, {row.trouble}" if row else ""
