"""Moments where only text can stand: in UTC, and saying so."""

from __future__ import annotations

from datetime import UTC, datetime


def utc(moment: datetime | None) -> str:
    """``2026-11-23 18:45:10 UTC``; empty where there is none."""
    return "" if moment is None else f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def period(start: datetime, end: datetime) -> str:
    """``2026-11-23 18:30 to 18:45 UTC``."""
    start, end = start.astimezone(UTC), end.astimezone(UTC)
    until = f"{end:%H:%M}" if start.date() == end.date() else f"{end:%Y-%m-%d %H:%M}"
    return f"{start:%Y-%m-%d %H:%M} to {until} UTC"
