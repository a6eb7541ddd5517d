"""The poller's one row: when it was called, what its last poll did, how long it rests.

Written by whoever holds the lock (``solitude``), but for ``called_at``, which is a compare-and-set.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog
from django.db import transaction
from django.utils import timezone

from minting.engine.errors import BlockchainError, SolanaError
from minting.engine.polling import PollingPolicy
from minting.models import MintBatch, Polling
from minting.service import nudges

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Made:
    """What a poll has done so far."""

    batches: int = 0
    readings: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    below_threshold: int = 0
    last_batch: MintBatch | None = None

    def add(self, batch: MintBatch, left_out: Mapping[str, int]) -> None:
        """A batch that was made."""
        self.batches += 1
        self.readings += batch.total_readings
        self.left_out.update(left_out)
        self.last_batch = batch


def read() -> Polling:
    """The row; before the first poll one that says that nothing was ever done, and is not kept."""
    return Polling.objects.select_related("last_batch").first() or Polling()


def _kept() -> Polling:
    """The row; made at first use."""
    row = read()
    if row._state.adding:
        Polling.objects.bulk_create([row], ignore_conflicts=True)
        row = Polling.objects.get()
    return row


def due_at(row: Polling, interval: timedelta) -> datetime | None:
    """When the next poll is called, ``None``: at once."""
    moments = [row.called_at + interval if row.called_at else None, row.not_before]
    return max((each for each in moments if each), default=None)


def call_if_due(policy: PollingPolicy) -> bool:
    """Calls a worker to poll, if nobody did within the interval and the poller does not rest."""
    row, now = _kept(), timezone.now()
    due = due_at(row, policy.interval)
    if due is not None and due > now:
        return False
    with transaction.atomic():
        # Of several clusters that see it at once, one calls.
        if not Polling.objects.filter(pk=row.pk, called_at=row.called_at).update(called_at=now):
            return False
        nudges.call_poller()
    return True


@transaction.atomic
def call_at_once() -> None:
    """Calls a worker again: there is more."""
    Polling.objects.update(called_at=timezone.now())
    nudges.call_poller()


def begin() -> Polling:
    """Notes that a poll works; until it says that it ended, it is not known to have.

    Returns:
        The row, as it is to be judged by.
    """
    row = _kept()
    Polling.objects.update(began_at=timezone.now(), ended_at=None)
    return row


def forgive() -> None:
    """What failed before is over."""
    Polling.objects.update(failures=0, not_before=None)


def end(made: Made) -> None:
    """A poll that did what there was to do; whether its batches come to something is not known."""
    _write(made, trouble="", trouble_code="", not_before=None)
    log.info("polled", batches=made.batches, readings=made.readings, left_out=dict(made.left_out))


def give_up(made: Made, error: BlockchainError, policy: PollingPolicy) -> None:
    """A poll that could not go on; the next one comes the later, the more did not.

    A silent node is asked again at the next interval: that costs nobody anything.
    """
    failures = read().failures + 1
    rest = policy.interval if isinstance(error, SolanaError) else policy.rest(failures)
    _write(
        made,
        trouble=str(error),
        trouble_code=error.code,
        failures=failures,
        not_before=timezone.now() + rest,
        # One failure is counted once.
        last_batch=made.last_batch,
    )
    log.warning(
        "poll_given_up",
        code=error.code,
        reason=str(error),
        failures=failures,
        rest=round(rest.total_seconds()),
        batches=made.batches,
    )


def _write(made: Made, **values: object) -> None:
    kept = {"last_batch": made.last_batch} if made.last_batch else {}
    Polling.objects.update(
        ended_at=timezone.now(),
        batches=made.batches,
        readings=made.readings,
        left_out=dict(made.left_out),
        below_threshold=made.below_threshold,
        **(kept | values),
    )
