"""What was corrected after it was minted: recorded, and never minted or clawed back."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.db import connection

# A second correction tells its difference to what was minted; what it adds to the first is counted,
# so that the first one's month stays as it was.
_CORRECTED = """
SELECT coalesce(owner.user_id, ''), count(*),
       sum(told.correction_difference - coalesce(before.correction_difference, 0))
  FROM readings_meterreading told
  LEFT JOIN readings_owner owner ON owner.id = told.owner_id
  LEFT JOIN readings_meterreading before
         ON before.meter_id = told.meter_id AND before.period_end = told.period_end
        AND before.period_kind = told.period_kind AND before.revision = told.revision - 1
        AND (before.period_kind <> 'interval' OR before.period_start = told.period_start)
 WHERE told.code IN ('corrected_after_minting', 'superseded')
   AND told.correction_difference IS NOT NULL
   AND told.submitted_at >= %s AND told.submitted_at < %s
 GROUP BY 1
"""


@dataclass(frozen=True, slots=True)
class Corrected:
    """Corrections of one owner's minted readings."""

    owner: str
    """Their user id."""
    count: int
    kwh: Decimal
    """More or less than was minted."""


def corrected(since: datetime, until: datetime) -> list[Corrected]:
    """Corrections after minting that came in between two moments, by owner."""
    with connection.cursor() as sql:
        sql.execute(_CORRECTED, [since, until])
        return [Corrected(*row) for row in sql.fetchall()]
