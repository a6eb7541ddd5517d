"""When a transient failure is tried again: exponential backoff, exact and without a clock."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from decimal import ROUND_CEILING, Decimal


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """``BLOCKCHAIN_BATCH_RETRY_ENABLED`` and the ``TOKENIZATION_*RETRY*`` settings as values."""

    max_attempts: int
    """Automatic retries of one failure; 0: none, which also is what "switched off" means."""
    initial_delay: int
    """Seconds before the first retry."""
    multiplier: Decimal
    """By which each delay is longer than the one before; at least 1."""
    max_delay: int
    """Seconds that no delay exceeds."""

    def has_attempt_left(self, retry_number: int) -> bool:
        """Whether what failed after ``retry_number`` automatic retries is tried once more."""
        return retry_number < self.max_attempts

    def delay(self, retry_number: int) -> timedelta:
        """How long what failed after ``retry_number`` automatic retries waits for the next.

        ``initial_delay * multiplier ** retry_number``, at most ``max_delay``, in whole seconds
        rounded up. It stops multiplying at the cap, so that no number grows beyond it.

        >>> policy = RetryPolicy(3, 300, Decimal("2.0"), 3600)
        >>> [policy.delay(number).seconds for number in range(6)]
        [300, 600, 1200, 2400, 3600, 3600]
        """
        cap = Decimal(self.max_delay)
        seconds = min(Decimal(self.initial_delay), cap)
        for _ in range(retry_number):
            if seconds == cap or self.multiplier == 1:
                break
            # Divided, not multiplied, to compare: an absurd multiplier overflows nothing.
            seconds = cap if self.multiplier >= cap / seconds else seconds * self.multiplier
        return timedelta(seconds=int(seconds.to_integral_value(ROUND_CEILING)))


NO_RETRIES = RetryPolicy(max_attempts=0, initial_delay=1, multiplier=Decimal(1), max_delay=1)
"""For failures that stay."""
