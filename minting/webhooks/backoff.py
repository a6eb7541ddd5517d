"""When an attempt is repeated, how long an endpoint rests, and when it is enough."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

WAITS = tuple(
    timedelta(seconds=seconds)
    for seconds in (5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400)
)
"""After the first, second, … failure of a delivery: 75 hours in all, as the specification of
Standard Webhooks suggests. After the tenth it is given up."""

PATIENCE = timedelta(hours=84)
"""For so long a delivery is tried at all, however few attempts its endpoint's rests allowed."""

RESTS_AFTER = 3
"""Failures in a row after which an endpoint rests, whatever is due."""

LONGEST_REST = timedelta(minutes=10)

LONGEST_ASKED = timedelta(hours=1)
"""What a receiver's ``Retry-After`` is believed."""

JITTER = 0.1
"""Of a wait is added at random, so that what failed together is not repeated together."""


def wait(failures: int, chance: float) -> timedelta | None:
    """How long a delivery waits after so many failures; ``None`` when it is given up.

    Args:
        failures: Its own, 1 or more, since it was made or last replayed.
        chance: From 0 to 1, at random.
    """
    if failures > len(WAITS):
        return None
    return WAITS[failures - 1] * (1 + JITTER * chance)


def rest(failures: int, asked: timedelta | None, chance: float) -> timedelta:
    """How long nothing is sent to an endpoint.

    Args:
        failures: Of the endpoint, in a row.
        asked: What its answer asked for.
        chance: From 0 to 1, at random.
    """
    own = timedelta(0)
    if failures >= RESTS_AFTER:
        doubled = timedelta(seconds=5) * 2 ** min(failures - RESTS_AFTER, 10)
        own = min(doubled, LONGEST_REST) * (1 + JITTER * chance)
    return max(own, min(asked or timedelta(0), LONGEST_ASKED))


def asked_for(retry_after: str | None, now: datetime) -> timedelta | None:
    """What a ``Retry-After`` header says: seconds or a date (RFC 9110); ``None`` for nothing."""
    if not retry_after:
        return None
    text = retry_after.strip()
    if text.isascii() and text.isdigit():
        return timedelta(seconds=min(int(text[:9]), 10**8))
    try:
        moment = parsedate_to_datetime(text)
    except (TypeError, ValueError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(moment - now, timedelta(0))
