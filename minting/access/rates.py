"""Counting calls against a rate, for all processes and machines at once.

A leaky bucket (GCRA, as ATM networks and many gateways have it), whose whole state is one moment:
when the caller's allowance will be whole again. Each call moves it by ``seconds / calls``; a call
that would move it further ahead than ``seconds`` is refused and moves nothing. So a caller may
spend a whole allowance at once after a rest, and goes on at the even pace; there is no edge of a
window at which everybody's count falls to zero.

One statement counts a call: PostgreSQL's row lock makes it atomic and its clock is the only one.
"""

from __future__ import annotations

from django.db import connection
from django.db.models.functions import Now

from minting.access.models import Allowance

_TAKE = """
INSERT INTO access_allowance AS kept (subject, full_at)
VALUES (%(subject)s, clock_timestamp() + make_interval(secs => %(step)s))
ON CONFLICT (subject) DO UPDATE
   SET full_at = greatest(kept.full_at, clock_timestamp()) + make_interval(secs => %(step)s)
 WHERE kept.full_at <= clock_timestamp() + make_interval(secs => %(room)s)
RETURNING true
"""

_LEFT = """
SELECT extract(epoch FROM full_at - clock_timestamp() - make_interval(secs => %(room)s))
  FROM access_allowance WHERE subject = %(subject)s
"""

SHORTEST = 0.001
"""Seconds told to whoever was refused a moment ago and would be let in by now."""


def take(subject: str, *, calls: int, seconds: int) -> float:
    """Counts one call of ``subject``.

    Returns:
        0 if it may go on, else the seconds until it may.
    """
    step = seconds / calls
    values: dict[str, str | float] = {
        "subject": subject,
        "step": step,
        "room": seconds - step,
    }
    with connection.cursor() as cursor:
        cursor.execute(_TAKE, values)
        if cursor.fetchone():
            return 0.0
        cursor.execute(_LEFT, values)
        row = cursor.fetchone()
    return max(float(row[0]), SHORTEST) if row else SHORTEST


def forget_whole() -> int:
    """Deletes what says no more than that an allowance is whole; returns how many."""
    return Allowance.objects.filter(full_at__lt=Now()).delete()[0]
