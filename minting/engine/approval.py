"""Four eyes: when a batch needs a second person, and what exactly that person approves.

Pure. The digest binds an approval to every reading, wallet and amount of a batch and to the
lamports that it may cost at most; it is compared again before anything is signed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from enum import StrEnum
from hashlib import sha256
from uuid import UUID

from minting.engine.types import Cost

WINDOW = timedelta(hours=24)
"""What the same requester asked for in so long counts too, so that splitting does not pass it."""

DOMAIN = "gridtoken/approval/1"


class Decision(StrEnum):
    """What became of a request for approval."""

    WAITING = "waiting"
    APPROVED = "approved"
    REFUSED = "refused"
    EXPIRED = "expired"
    """Nobody decided in time, or nothing was signed in time after it was approved."""
    WITHDRAWN = "withdrawn"
    """The batch was cancelled while it waited."""


DECISION_MOVES: frozenset[tuple[Decision, Decision]] = frozenset(
    {
        (Decision.WAITING, Decision.APPROVED),
        (Decision.WAITING, Decision.REFUSED),
        (Decision.WAITING, Decision.EXPIRED),
        (Decision.WAITING, Decision.WITHDRAWN),
    }
)


@dataclass(frozen=True, slots=True)
class Asked:
    """How much somebody asked to be minted without a second person."""

    kwh: Decimal
    lamports: int
    """Fees and rent, as estimated."""

    def __add__(self, other: Asked) -> Asked:
        return Asked(self.kwh + other.kwh, self.lamports + other.lamports)


@dataclass(frozen=True, slots=True)
class ApprovalPolicy:
    """``APPROVAL_ABOVE_KWH``, ``APPROVAL_ABOVE_LAMPORTS``, ``APPROVAL_EXPIRES_HOURS``."""

    above_kwh: Decimal | None
    above_lamports: int | None
    expires_after: timedelta

    @property
    def is_on(self) -> bool:
        """Whether anything needs approval."""
        return self.above_kwh is not None or self.above_lamports is not None

    def why(self, batch: Asked, before: Asked) -> str:
        """Why a batch needs a second person, in a sentence; empty where it does not.

        Args:
            batch: The batch.
            before: What its requester asked for in the ``WINDOW`` before it, unapproved.
        """
        total = batch + before
        reasons = []
        if self.above_kwh is not None and total.kwh > self.above_kwh:
            reasons.append(f"{_short(total.kwh)} kWh, above {_short(self.above_kwh)} kWh")
        if self.above_lamports is not None and total.lamports > self.above_lamports:
            reasons.append(f"{total.lamports:,} lamports, above {self.above_lamports:,} lamports")
        if not reasons:
            return ""
        split = " in 24 hours" if before.kwh or before.lamports else ""
        return f"{' and '.join(reasons)}{split}"


def fee_cap(estimate: Cost) -> int:
    """Lamports that an approved batch may cost at most, fees and rent together.

    Twice the fees, since wallets that fail travel again, and a quarter more rent, since owners may
    close accounts; above an estimate of nothing there is room for twenty signatures.
    """
    return 2 * estimate.fee + estimate.rent * 5 // 4 + 100_000


def slice_digest(payments: Iterable[tuple[UUID, str, int]]) -> bytes:
    """SHA-256 over what a slice pays.

    A line for each reading, in the order of their ids: id, wallet, base units, separated by
    blanks; lines are separated by a line feed.

    Args:
        payments: (Reading, wallet, base units).
    """
    lines = (f"{id_} {wallet} {units}" for id_, wallet, units in sorted(payments))
    return sha256("\n".join(lines).encode()).digest()


def batch_digest(
    *, batch_id: UUID, mint: str, fee_cap_lamports: int, slices: Sequence[bytes]
) -> bytes:
    """SHA-256 over what an approval is bound to.

    Args:
        batch_id: The batch.
        mint: Address of the mint.
        fee_cap_lamports: What it may cost at most.
        slices: The digests of its slices, by number.
    """
    told = "\n".join(
        [DOMAIN, str(batch_id), mint, str(fee_cap_lamports), *(each.hex() for each in slices)]
    )
    return sha256(told.encode()).digest()


def _short(kwh: Decimal) -> str:
    """Without zeros that say nothing."""
    return f"{kwh.normalize():f}"
