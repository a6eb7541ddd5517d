"""Writing down who lives, and reading it back."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.utils import timezone

from minting.models import Pulse, PulseKind


@dataclass(frozen=True, slots=True)
class Beat:
    """What one look at one thing showed."""

    name: str
    trouble: str = ""
    """Why it counts as silent; empty: it lives."""
    facts: dict[str, Any] = field(default_factory=dict)


def note(kind: PulseKind, beats: Iterable[Beat], *, at: datetime | None = None) -> list[Pulse]:
    """Writes what was seen; what is silent keeps the facts of its last sign of life."""
    now = at or timezone.now()
    seen = list(beats)
    known = {row.name: row for row in pulses(kind, [each.name for each in seen])}
    rows = [
        _next(known.get(each.name) or Pulse(kind=kind, name=each.name), each, now) for each in seen
    ]
    fields = ["alive_at", "checked_at", "silent_since", "trouble", "facts"]
    # In one order, so that two processes never wait for each other.
    Pulse.objects.bulk_create(
        sorted(rows, key=lambda row: row.name),
        update_conflicts=True,
        unique_fields=["kind", "name"],
        update_fields=fields,
    )
    return rows


def pulses(kind: PulseKind, names: Iterable[str]) -> list[Pulse]:
    """Of these, in the order given; who was never looked at has none."""
    wanted = list(names)
    rows = {row.name: row for row in Pulse.objects.filter(kind=kind, name__in=wanted)}
    return [rows[name] for name in wanted if name in rows]


def _next(row: Pulse, beat: Beat, now: datetime) -> Pulse:
    row.id = None  # the conflict finds it: another process may be faster
    row.checked_at = now
    row.trouble = beat.trouble
    if beat.trouble:
        row.silent_since = row.silent_since or now
    else:
        row.alive_at, row.silent_since, row.facts = now, None, beat.facts
    return row
