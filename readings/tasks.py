"""What the queue calls for readings: no arguments, one call, a number out."""

from __future__ import annotations

from readings import imports, intake


def rejudge() -> int:
    """Every minute: lets go what a raised limit no longer holds; returns how many readings."""
    return intake.rejudge_limits()


def work_imports() -> int:
    """Goes on with files that wait for nobody; returns how many."""
    return imports.work()


def expire_wallet_changes() -> int:
    """Every minute: requests for another wallet that nobody decided about in time end."""
    return intake.expire_wallet_changes()
