"""When to look again at what flies: not before it can have landed, and soon when it is due."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

FIRST_GUESS = 0.4
"""Seconds from sending to landing, until one was seen."""
SHORTEST = 0.05
"""Seconds between two looks, at least."""
LONGEST = 0.5
"""Seconds between two looks at what is overdue, at most."""
SLOWEST = 4.0
"""Seconds that are believed to be usual, at most: an outage is no habit."""
EAGER = 0.85
"""Of the usual time, when the first look is: landing sooner than usual must show."""
PATIENT = 4.0
"""Of what is due, the next look after this part of its age."""
WEIGHT = 0.3
"""Of a landing that took longer than usual; one that did not is the new usual at once."""
NEWS = 0.2
"""Of what is known to all: what differs by more is told."""


@dataclass(slots=True)
class Pace:
    """What is usual on this chain, learned from what landed: slots differ tenfold."""

    usual: float = FIRST_GUESS
    """Seconds from sending to landing, as it was seen here."""
    is_guess: bool = True
    """Whether nothing was seen or heard yet."""
    told: float | None = None
    """What all processes know of it, as far as is known here."""

    def landed(self, after: float) -> None:
        """Something was seen to have landed so many seconds after it was sent."""
        late = min(after, SLOWEST) - self.usual
        self.usual += late if late < 0 or self.is_guess else WEIGHT * late
        self.is_guess = False

    def heard(self, usual: float) -> None:
        """Another process learned this: better than a guess, not than what was seen here."""
        if self.is_guess:
            self.usual = self.told = usual
            self.is_guess = False

    @property
    def is_news(self) -> bool:
        """Whether others would look at other moments if they knew."""
        if self.is_guess:
            return False
        return self.told is None or abs(self.usual - self.told) > NEWS * self.told

    def wait(self, ages: Iterable[float]) -> float:
        """Seconds until the next look.

        Args:
            ages: Seconds since each transaction in flight was sent.
        """
        due = EAGER * self.usual
        wanted = (due - age if age < due else min(age / PATIENT, LONGEST) for age in ages)
        return max(min(wanted, default=LONGEST), SHORTEST)


_of: dict[tuple[str, ...], Pace] = {}
"""By the nodes asked; kept by the process, so that a task knows what the last one learned."""


def pace_of(rpc_urls: tuple[str, ...]) -> Pace:
    """What is usual on the cluster behind these nodes."""
    return _of.setdefault(rpc_urls, Pace())
