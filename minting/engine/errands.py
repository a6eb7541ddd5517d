"""What a worker does for a person who looks on, and how far it is."""

from __future__ import annotations

from enum import StrEnum


class ErrandKind(StrEnum):
    """What is done with a selection that is too long for one request."""

    PREVIEW = "preview"
    """Counted: what would be paid, what it costs, what is left out."""
    MINT = "mint"
    """Made a batch."""
    RELEASE = "release"
    """Released, with the reason that was given."""


class ErrandStatus(StrEnum):
    """How far it is.

    Moves: waiting → running → done or failed; running → waiting where its worker is gone; done or
    failed → waiting where a person asks anew; waiting or running → failed where it is given up.
    """

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


OPEN_ERRANDS = frozenset({ErrandStatus.WAITING, ErrandStatus.RUNNING})
