"""A second person for changed wallets: what becomes of a request, and what exactly is approved.

Pure. While four eyes are on, a wallet that would replace another one is asked for, not registered.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from hashlib import sha256
from uuid import UUID

DOMAIN = "gridtoken/wallet/1"


class ChangeStatus(StrEnum):
    """What became of a request for another wallet."""

    PROPOSED = "proposed"
    APPROVED = "approved"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"
    """Taken back, or overtaken: by another request, or because the old wallet is gone."""
    EXPIRED = "expired"
    """Nobody decided in time."""


CHANGE_MOVES: frozenset[tuple[ChangeStatus, ChangeStatus]] = frozenset(
    (ChangeStatus.PROPOSED, end) for end in ChangeStatus if end is not ChangeStatus.PROPOSED
)


class ChangeWay(StrEnum):
    """How a request came in."""

    ADMIN = "admin"
    API = "api"
    IMPORT = "import"
    """A file of the registry, brought in the admin or by a command."""
    COMMAND = "command"


@dataclass(frozen=True, slots=True)
class SecondPerson:
    """``APPROVAL_ABOVE_KWH``, ``APPROVAL_ABOVE_LAMPORTS`` and ``APPROVAL_EXPIRES_HOURS``."""

    is_on: bool
    expires_after: timedelta


def change_digest(
    *,
    change_id: UUID,
    old_wallet: UUID | None,
    address: str,
    allowed: tuple[bool, bool],
    also_paid: Iterable[UUID],
) -> str:
    """SHA-256, in hex, of what a second person is shown; the decision is about just that.

    Args:
        change_id: The request.
        old_wallet: The wallet that the owner has now.
        address: The new one.
        allowed: Whether it may be off the curve, and a program's account.
        also_paid: Other owners who are paid at the new address.
    """
    told = [DOMAIN, change_id, old_wallet, address, *allowed, *sorted(also_paid)]
    return sha256("\n".join(map(str, told)).encode()).hexdigest()
