"""Calling workers. A nudge carries no work, only "look": it may be lost, repeated or run twice."""

from __future__ import annotations

from uuid import UUID

from django_q.tasks import async_task

from minting.conf import current
from minting.engine.states import SliceStatus
from minting.models import MintBatch, MintSlice

LOOK = "minting.tasks.look"
"""A dotted name: a function that moved would kill the queue's pusher again and again."""

PROVE = "minting.tasks.prove"


def call_workers(batch: MintBatch) -> None:
    """One nudge for every group of slices that one task drives at once."""
    _call(batch.slices.count())


def call_for_waiting() -> None:
    """The same for all slices that wait, whatever their batch."""
    _call(MintSlice.objects.filter(status=SliceStatus.QUEUED).count())


def _call(slices: int) -> None:
    for _ in range(-(-slices // current().concurrent_batches)):
        nudge()


def ask_for_proof(transaction_id: UUID) -> None:
    """Asks a worker to look at one transaction in doubt, rather than within the minute."""
    async_task(PROVE, str(transaction_id), group="recover")


def nudge() -> None:
    """Asks whichever worker is free to look for slices that nobody drives."""
    async_task(LOOK, group="mint")
