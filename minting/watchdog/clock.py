"""Whether this machine's clock was set, seen beside the one that nobody can set."""

from __future__ import annotations

import time

import structlog

log = structlog.get_logger(__name__)

JUMP = 5.0
"""Seconds between two looks that no slewing of a time server explains."""

EVERY = 600.0
"""Seconds after which dates are looked at anyhow: another machine's clock may have made them."""


class ClockWatch:
    """To be asked again and again."""

    def __init__(self) -> None:
        self._apart: float | None = None
        self._due = 0.0

    def dates_may_be_wrong(self) -> bool:
        """Whether dates may lie too far ahead: when first asked, after a jump, every so often."""
        now = time.monotonic()
        apart = time.time() - now
        jump = 0.0 if self._apart is None else apart - self._apart
        self._apart = apart
        jumped = abs(jump) > JUMP
        if jumped:
            log.warning("clock_was_set", seconds=round(jump))
        if not jumped and now < self._due:
            return False
        self._due = now + EVERY
        return True
