"""How the poller stands, for people."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from minting.models import Polling, PollingPause
from minting.service.polling import book
from minting.service.polling.hindrances import Hindrance, hindrance
from minting.service.polling.switch import standing_pause
from minting.service.watch import worker_health


@dataclass(frozen=True, slots=True)
class PollingStatus:
    """All that the dashboard says of it."""

    every: timedelta | None
    """By the clusters that live; ``None``: none of them polls."""
    pause: PollingPause | None
    hindrance: Hindrance | None
    """A pause is one, too."""
    row: Polling
    next_at: datetime | None
    """``None``: nobody knows, or at once."""

    @property
    def is_on(self) -> bool:
        """Whether any cluster that lives has it switched on."""
        return self.every is not None

    @property
    def took(self) -> timedelta | None:
        """The last poll's time, where it ended."""
        row = self.row
        return row.ended_at - row.began_at if row.ended_at and row.began_at else None


def look() -> PollingStatus:
    """Of now."""
    polling = [each.polls_every for each in worker_health.clusters() if each.lives]
    every = min((each for each in polling if each), default=None)
    row = book.read()
    return PollingStatus(
        every=every,
        pause=standing_pause(),
        hindrance=hindrance(),
        row=row,
        next_at=book.due_at(row, every) if every else None,
    )
