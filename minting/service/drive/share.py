"""How many slices one task takes: one at first, more as long as nobody else takes them.

Nobody knows how many workers there are, on how many machines. So whoever takes a slice while others
wait calls one more worker, and leaves it the time to come; what still waits then is its own to
take, twice as many each time. Idle workers get the same shares, and a lone one ends up with all
that it may hold.
"""

from __future__ import annotations

import time
from collections.abc import Collection
from uuid import UUID

from django.db import transaction

from minting import journal
from minting.journal import Claim
from minting.service.drive import upkeep
from minting.service.drive.recover import slices_wait

GRACE = 0.5
"""Seconds in which whoever is idle takes a slice: the queue's poll and a claim need about 0.3."""

TAKES_FOR = 30.0
"""Seconds after which a task only finishes what it holds, so that scheduled ones get their turn."""


class Share:
    """What one task may hold of the slices that wait."""

    def __init__(self, *, worker: str, limit: int, batch_id: UUID | None = None) -> None:
        """Takes nothing yet.

        Args:
            worker: Who claims.
            limit: Slices that the task may hold.
            batch_id: Only slices of this batch, and then up to the limit at once: its caller waits.
        """
        self._worker = worker
        self._limit = limit
        self._batch_id = batch_id
        self._size = limit if batch_id else 1
        self._next_at = 0.0
        self._until = time.monotonic() + TAKES_FOR

    def take(self, held: Collection[Claim]) -> list[Claim]:
        """Claims what the share has room for; to be asked often, it looks every ``GRACE`` seconds.

        Args:
            held: What the task claimed before; what is done of it takes no room.
        """
        now = time.monotonic()
        if now < self._next_at or (held and now > self._until):
            return []
        self._next_at = now + GRACE
        with transaction.atomic():
            claims = journal.claim_slices(
                worker=self._worker, limit=self._size, batch_id=self._batch_id, beside=held
            )
        if self._batch_id is None and slices_wait():
            upkeep.call_if_unattended()
            self._size = min(2 * self._size, self._limit)
        return claims
