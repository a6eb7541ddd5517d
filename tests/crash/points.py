"""The points of a transaction's life at which a kill matters (docs/invariants.md shows them).

A point is a place in the product's own code, named by the function that is called there: nothing
is built into the product for it. ``worker.py`` wraps the function in a child process and does what
the point says to itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from minting.engine.types import Commitment

if TYPE_CHECKING:
    from minting.service.drive.tracking import (
        Sighting,  # the worker reads this before Django is set up
    )


class When(StrEnum):
    """At which moment of the call."""

    BEFORE = "before"
    AFTER = "after"
    COMMIT = "before its commit"
    """The database transaction that it is part of is about to be committed."""
    COMMITTED = "after its commit"
    """The server committed; the answer never arrives."""


class Deed(StrEnum):
    """What the process does to itself there."""

    KILL = "killed"
    STOP = "paused"
    LOSE = "answer lost"
    """Nothing dies: the connection breaks, and the caller is told that its commit failed."""


@dataclass(frozen=True, slots=True)
class Point:
    """One row of the table."""

    number: int
    name: str
    where: str
    """Dotted name of the function; a test module for the points that are tested there."""
    when: When = When.BEFORE
    deed: Deed = Deed.KILL
    only: Callable[..., bool] | None = None
    """Which calls of the function count; all unless told."""

    @property
    def id(self) -> str:
        """For a test's name."""
        return f"{self.number}: {self.deed} {self.when} {self.where.rpartition('.')[2]}"


def _is_processed(_session: object, sighting: Sighting) -> bool:
    return sighting.status is not None and sighting.status.commitment is Commitment.PROCESSED


ELSEWHERE = "tests/"
"""Points of other stories; their tests are where the table says."""

POINTS = (
    Point(1, "readings claimed", "minting.journal.claim_slices", When.COMMIT),
    Point(1, "readings claimed", "minting.journal.claim_slices", When.COMMITTED),
    Point(1, "readings claimed", "minting.journal.renew_claims", When.COMMITTED),
    Point(2, "planned, simulated", "minting.service.drive.wave.sign_all"),
    Point(3, "signed in memory", "minting.service.drive.journal_file.append"),
    Point(3, "signed in memory", "minting.service.drive.journal_file.append", When.AFTER),
    Point(4, "journal's commit", "minting.journal.record_signed", When.COMMIT),
    Point(4, "journal's commit", "minting.journal.record_signed", When.COMMITTED),
    Point(4, "journal's commit", "minting.journal.record_signed", When.COMMIT, Deed.LOSE),
    Point(4, "journal's commit", "minting.journal.record_signed", When.COMMITTED, Deed.LOSE),
    Point(5, "journalled, not sent", "minting.service.drive.wave.send"),
    Point(6, "sent, reply lost", "minting.cluster.client.Node.submit", When.AFTER),
    Point(6, "sent, reply lost", "minting.journal.record_sent", When.COMMITTED),
    Point(7, "processed", "minting.service.drive.tracking._settle", only=_is_processed),
    Point(8, "confirmed, not settled", "minting.journal.record_landed"),
    Point(9, "settling's commit", "minting.journal.record_landed", When.COMMIT),
    Point(9, "settling's commit", "minting.journal.record_landed", When.COMMITTED),
    Point(9, "settling's commit", "minting.journal.record_landed", When.COMMITTED, Deed.LOSE),
    Point(10, "confirmed, not finalized", "minting.journal.record_landed", When.COMMIT),
    Point(10, "confirmed, not finalized", "minting.journal.record_landed", When.COMMITTED),
    Point(11, "vanished from its fork", "minting.journal.record_vanished", When.COMMIT),
    Point(11, "vanished from its fork", "minting.journal.record_vanished", When.COMMITTED),
    Point(12, "landed with an error, not final", "minting.journal.record_error_seen", When.COMMIT),
    Point(
        12, "landed with an error, not final", "minting.journal.record_error_seen", When.COMMITTED
    ),
    Point(13, "final error, being taken apart", "minting.journal.settling._release"),
    Point(13, "final error, being taken apart", "minting.journal.record_failed", When.COMMITTED),
    Point(14, "proof half done", "minting.cluster.evidence._until_past"),
    Point(14, "proof half done", "minting.cluster.evidence._reports_on"),
    Point(14, "proof half done", "minting.journal.record_doubt", When.COMMITTED),
    Point(15, "expired, not planned anew", "minting.journal.record_expired", When.COMMIT),
    Point(15, "expired, not planned anew", "minting.journal.record_expired", When.COMMITTED),
    Point(
        16,
        "paused at 3, woken after the readings were given away",
        "minting.service.drive.journal_file.append",
        When.AFTER,
        Deed.STOP,
    ),
    Point(
        17,
        "paused at 5, woken after death was proven",
        "minting.service.drive.wave.send",
        When.BEFORE,
        Deed.STOP,
    ),
    Point(18, "batch closing", "minting.journal.results._end_or_reopen"),
    Point(18, "batch closing", "minting.journal.results._close_or_reopen_slices", When.AFTER),
    Point(18, "batch closing", "minting.journal.hand_back", When.COMMITTED),
    Point(
        19,
        "reconciliation page stored, cursor not",
        "tests/minting/service/test_reconcile.py",
    ),
    Point(20, "database older than the chain", "tests/minting/service/test_adopt.py"),
)


def table() -> str:
    """The rows of docs/invariants.md."""
    rows = ["| point | in the life of a transaction | at | the process |", "|---|---|---|---|"]
    for point in POINTS:
        at = f"`{point.where}`"
        if not point.where.startswith(ELSEWHERE):
            at = f"{point.when} `{point.where}`"
        rows.append(f"| {point.number} | {point.name} | {at} | {point.deed} |")
    return "\n".join(rows)
