"""Calling workers. A nudge carries no work, only "look": it may be lost, repeated or run twice."""

from __future__ import annotations

from django_q.tasks import async_task

from minting.conf import current
from minting.models import MintBatch

LOOK = "minting.tasks.look"
"""A dotted name: a function that moved would kill the queue's pusher again and again."""


def call_workers(batch: MintBatch) -> None:
    """One nudge for every group of slices that one task drives at once."""
    slices = batch.slices.count()
    for _ in range(-(-slices // current().concurrent_batches)):
        nudge()


def nudge() -> None:
    """Asks whichever worker is free to look for slices that nobody drives."""
    async_task(LOOK, group="mint")
