"""Waiting for whoever holds the key: longer each time, and not for ever."""

from __future__ import annotations

import time
from dataclasses import dataclass

SHORTEST = 0.2
"""Seconds before the second question."""

LONGEST = 10.0
"""Seconds between two questions at most; each costs a wave's simulations."""

PATIENCE = 60.0
"""Seconds without a signature after which a task gives its slices back."""


@dataclass(slots=True)
class Mute:
    """How long there was no signature, and until when none is asked for; monotonic seconds."""

    since: float | None = None
    until: float = 0.0

    def heard(self) -> None:
        """There was a signature."""
        self.since = None

    def silent(self) -> bool:
        """There was none; whether it is worth asking again after ``left`` seconds."""
        now = time.monotonic()
        if self.since is None:
            self.since = now
        self.until = now + min(max(SHORTEST, now - self.since), LONGEST)
        return now - self.since < PATIENCE

    @property
    def left(self) -> float:
        """Seconds before the next question."""
        return max(0.0, self.until - time.monotonic())
