"""When the poller works, and how long it rests after it could not. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

LONGEST_REST = timedelta(minutes=15)
"""However often it failed: somebody who sent SOL should not wait for longer."""


@dataclass(frozen=True, slots=True)
class PollingPolicy:
    """``TOKENIZATION_AUTO_MINT_ENABLED`` and what belongs to it, as values."""

    enabled: bool
    interval: timedelta
    """Between the calls of two polls."""
    threshold_kwh: Decimal
    """What is pending of an owner must sum up to this."""

    def rest(self, failures: int) -> timedelta:
        """From a poll that gave up to the next, by how many in a row did.

        >>> policy = PollingPolicy(True, timedelta(seconds=60), Decimal(0))
        >>> [policy.rest(failures) // timedelta(minutes=1) for failures in (1, 2, 3, 4, 99)]
        [2, 4, 8, 15, 15]
        """
        longest = max(LONGEST_REST, self.interval)
        rest = self.interval
        for _ in range(failures):
            rest *= 2
            if rest >= longest:
                return longest
        return rest
