"""Sums over all transactions ever signed, of which nearly all never change again.

Those before the oldest that is still open are added up once by a process, a stretch at a time;
what is asked with every look is the rest, however many years there are.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from dataclasses import dataclass, fields
from datetime import timedelta
from uuid import UUID

from django.db import connection
from django.utils import timezone

from minting.engine.states import LIVE_TRANSACTIONS
from minting.models import MintTransaction
from minting.models.fields import first_id_since

LATE = timedelta(hours=1)
"""By which the clocks of machines may differ: ids are in the order of their time."""

FIRST, LAST = UUID(int=0), UUID(int=2**128 - 1)

_SUMS = """
SELECT status, version, count(*), coalesce(sum(cardinality(reading_ids)), 0),
       coalesce(sum(base_units), 0), coalesce(sum(network_fee_lamports), 0),
       coalesce(sum(priority_fee_lamports), 0), coalesce(sum(rent_lamports), 0)
  FROM minting_minttransaction WHERE id >= %s AND id < %s
 GROUP BY status, version
"""


@dataclass(frozen=True, slots=True)
class Sums:
    """Of the transactions with one status and version."""

    transactions: int = 0
    readings: int = 0
    base_units: int = 0
    network_fee: int = 0
    """Lamports, as the next two."""
    priority_fee: int = 0
    rent: int = 0

    def __add__(self, other: Sums) -> Sums:
        return Sums(
            *(getattr(self, each.name) + getattr(other, each.name) for each in fields(Sums))
        )


ByKind = dict[tuple[str, str], Sums]
"""By status and version."""


class Ledger:
    """The sums, and up to where they are this process's for good."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._settled: ByKind = {}
        self._up_to = FIRST

    def sums(self) -> ByKind:
        """Of now."""
        with self._lock:
            frontier = self._frontier()
            if frontier > self._up_to:
                self._settled = _joined(self._settled, _between(self._up_to, frontier))
                self._up_to = frontier
            return _joined(self._settled, _between(self._up_to, LAST))

    @staticmethod
    def _frontier() -> UUID:
        """Nothing below it is open, and nothing will be written there."""
        live = MintTransaction.objects.filter(status__in=LIVE_TRANSACTIONS)
        # All of them: asked for the first, PostgreSQL may walk the primary key from its beginning.
        open_ = live.order_by().values_list("id", flat=True)
        return min([first_id_since(timezone.now() - LATE), *open_])


def _between(first: UUID, end: UUID) -> ByKind:
    with connection.cursor() as cursor:
        cursor.execute(_SUMS, [first, end])
        return {
            (status, version): Sums(*map(int, rest)) for status, version, *rest in cursor.fetchall()
        }


def _joined(one: ByKind, other: ByKind) -> ByKind:
    joined: defaultdict[tuple[str, str], Sums] = defaultdict(Sums, one)
    for kind, sums in other.items():
        joined[kind] += sums
    return dict(joined)
