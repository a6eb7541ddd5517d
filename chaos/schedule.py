"""What happens when: drawn from the seed alone, before anything is started.

The same seed and numbers give the same events at the same seconds with the same picks. What the
processes are doing at that moment is the machine's affair, so a replay repeats the fire, not every
interleaving.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from random import Random
from typing import Any


class Kind(StrEnum):
    """What the controller does."""

    KILL = "kill -9 a process of a cluster"
    TERMINATE = "SIGTERM a process of a cluster"
    KILL_MAIN = "kill -9 a cluster's main process"
    TERMINATE_MAIN = "SIGTERM a cluster's main process"
    KILL_CLUSTER = "kill -9 a whole cluster"
    TERMINATE_CLUSTER = "SIGTERM a whole cluster"
    PAUSE = "pause a process"
    LEASES = "every lease runs out at once"
    DATABASE = "restart the database"
    CHAIN = "kill -9 the node"
    FAULTS = "another fault plan"
    CONGESTION = "step of a rush: fuller blocks, higher bids"
    FORK = "fork"


KILLS = {
    Kind.KILL: 12,
    Kind.TERMINATE: 3,
    Kind.KILL_MAIN: 2,
    Kind.TERMINATE_MAIN: 1,
    Kind.KILL_CLUSTER: 2,
    Kind.TERMINATE_CLUSTER: 1,
}
"""What counts as a kill, and how often each is drawn."""

PACE = {
    Kind.FAULTS: 2,
    Kind.FORK: 4,
    Kind.LEASES: 5,
    Kind.PAUSE: 9,
    Kind.CONGESTION: 10,
    Kind.DATABASE: 12,
    Kind.CHAIN: 25,
}
"""Kills to one of each, about."""

FAULTS: tuple[dict[str, Any], ...] = (
    {},
    {"drop": 0.4},
    {"drop": 1.0},
    {"delay": 0.6, "delay_slots": 30},
    {"lost_reply": 0.3},
    {"lost_reply": 1.0, "methods": ["sendTransaction"]},
    {"unavailable": 0.4},
    {"too_many": 0.4},
    {"requests_per_second": 10},
    {"error": 0.3},
    {"error": 1.0, "methods": ["getSignatureStatuses"]},
    {"stale_blockhash": 0.7},
    {"lag_slots": 20},
    {"block_capacity": 0},
    {"block_capacity": 3},
    {"no_v1": True},
    {"drop": 0.2, "delay": 0.2, "lost_reply": 0.2, "too_many": 0.1, "unavailable": 0.1},
)
"""Plans of gridtoken.embedded.faults; the empty one is a breather."""

RUSH: tuple[dict[str, Any], ...] = (
    {"others_bid": 10_000},
    {"others_bid": 50_000, "block_capacity": 5},
    {"others_bid": 250_000, "block_capacity": 3, "too_many": 0.2},
    {"others_bid": 10_000_000, "too_many": 0.5},
    {"others_bid": 250_000, "requests_per_second": 15},
    {},
)
"""A rush hour, step by step: blocks fill, others bid more, at its height more than our cap, nodes
refuse; then it is over."""

STEP_SECONDS = 3.0
"""Between two steps of a rush."""

DEEPEST_FORK = 30
"""Blocks; 32 are final."""


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that the controller does."""

    at: float
    """Seconds after the start."""
    kind: Kind
    cluster: int
    pick: float
    """From 0 to 1: which of the processes there are, how deep, how long."""
    faults: dict[str, Any] = field(default_factory=dict)


def draw(*, seed: int, kills: int, every: float, clusters: int) -> tuple[Event, ...]:
    """The whole run.

    Args:
        seed: Of everything.
        kills: How many events of ``KILLS`` there are.
        every: Seconds from one to the next, about.
        clusters: How many there are to choose from.
    """
    random = Random(seed)
    end = kills * every

    def event(at: float, kind: Kind) -> Event:
        faults = dict(random.choice(FAULTS)) if kind is Kind.FAULTS else {}
        if faults:
            faults["seed"] = random.randrange(2**32)
        return Event(at, kind, random.randrange(clusters), random.random(), faults)

    events = [
        event((number + random.random()) * every, kind)
        for number, kind in enumerate(
            random.choices(list(KILLS), weights=list(KILLS.values()), k=kills)
        )
    ]
    for kind, pace in PACE.items():
        # Even the shortest run has one of each.
        for _ in range(max(1, kills // pace)):
            at = random.uniform(0, end)
            events += _rush(random, at, end) if kind is Kind.CONGESTION else [event(at, kind)]
    return tuple(sorted(events, key=lambda each: each.at))


def _rush(random: Random, at: float, end: float) -> list[Event]:
    """All steps of one, hurried where the run ends before."""
    step = min(STEP_SECONDS, (end - at) / len(RUSH))
    return [
        Event(
            at + number * step, Kind.CONGESTION, 0, 0.0, {**plan, "seed": random.randrange(2**32)}
        )
        for number, plan in enumerate(RUSH)
    ]
