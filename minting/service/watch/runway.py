"""How long the authority's SOL lasts, judged by what minting cost lately. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from minting.service.watch.figures import Day, RecentCost

PACE_DAYS = 7
"""Whole days that tell how fast SOL is spent."""


@dataclass(frozen=True, slots=True)
class Runway:
    """What is left, in readings and in days."""

    lamports: int
    """That can be spent: the balance less what an account must keep."""
    readings: int | None
    """At the cost of the last transactions; ``None`` before the first."""
    days: int | None
    """At the pace of the last days; ``None`` where nothing was spent in them."""


def runway(balance: int, floor: int, cost: RecentCost, days: Sequence[Day]) -> Runway:
    """Rounded down: nobody should count on what is not there.

    Args:
        balance: Lamports of the authority.
        floor: Lamports that it must keep, or transactions fail.
        cost: Of the last transactions.
        days: Today the last; it is not over, and does not count.
    """
    left = max(balance - floor, 0)
    spent = sum(day.spent for day in days[:-1][-PACE_DAYS:])
    return Runway(
        lamports=left,
        readings=left * cost.readings // cost.lamports if cost.lamports else None,
        days=left * PACE_DAYS // spent if spent else None,
    )
