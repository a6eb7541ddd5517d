"""What keeps the poller from making batches until somebody does something about it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from minting import journal
from minting.engine.approval import Decision
from minting.models import BatchSource, MintApproval, MintingGate
from minting.service.polling import book


class Cause(StrEnum):
    """Each of them shows itself elsewhere, too."""

    PAUSED = "polling_paused"
    STOPPED = "minting_stopped"
    GATE = "gate_closed"
    APPROVAL = "awaiting_approval"
    TRIAL = "on_trial"
    """It failed, and whether its last batch will is not known yet."""


@dataclass(frozen=True, slots=True)
class Hindrance:
    """What it is, in a sentence's end: "The poller waits: …"."""

    cause: Cause
    words: str


def hindrance() -> Hindrance | None:
    """The first there is. Readings stay pending meanwhile, for staff to mint or not."""
    pause = journal.current_pause()
    if pause is not None:
        return Hindrance(Cause.PAUSED, f"paused by {pause.paused_by}: {pause.reason}")
    stop = journal.current_stop()
    if stop is not None:
        return Hindrance(Cause.STOPPED, f"minting is stopped by {stop.stopped_by}")
    gate = MintingGate.objects.filter(closed_since__isnull=False).first()
    if gate is not None:
        return Hindrance(Cause.GATE, f"the gate is closed: {gate.reason}")
    # More of them would be one more question each minute about what nobody has answered.
    asked = MintApproval.objects.filter(
        batch__source=BatchSource.POLL, decision=Decision.WAITING
    ).first()
    if asked is not None:
        return Hindrance(Cause.APPROVAL, f"its batch {asked.batch_id} waits for approval")
    return _trial()


def _trial() -> Hindrance | None:
    row = book.read()
    batch = row.last_batch
    if not row.failures or batch is None or batch.is_final:
        return None
    times = "once" if row.failures == 1 else f"{row.failures} times in a row"
    return Hindrance(Cause.TRIAL, f"it failed {times}, and its batch {batch.pk} is not over")
