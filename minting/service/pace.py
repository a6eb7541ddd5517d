"""When to look again at what flies: not before it can have landed, and soon when it is due."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

FIRST_GUESS = 0.4
"""Seconds from sending to landing, until one was seen."""
SHORTEST = 0.05
"""Seconds between two looks, at least."""
LONGEST = 0.5
"""Seconds between two looks, at most: what is overdue is not forgotten."""
EAGER = 0.85
"""Of the usual time, when the first look is: landing sooner than usual must show."""
PATIENT = 6.0
"""Of what is due, a look every so many parts of its age."""
WEIGHT = 0.3
"""Of the newest landing in what is usual."""


@dataclass(slots=True)
class Pace:
    """What is usual on this chain, learned from what landed: slots differ tenfold."""

    usual: float = FIRST_GUESS
    """Seconds from sending to landing, as it was seen here."""

    def landed(self, after: float) -> None:
        """Something was seen to have landed so many seconds after it was sent."""
        self.usual += WEIGHT * (min(after, 10 * FIRST_GUESS) - self.usual)

    def wait(self, ages: Iterable[float]) -> float:
        """Seconds until the next look.

        Args:
            ages: Seconds since each transaction in flight was sent.
        """
        due = EAGER * self.usual
        wanted = (due - age if age < due else age / PATIENT for age in ages)
        return min(max(min(wanted, default=LONGEST), SHORTEST), LONGEST)
