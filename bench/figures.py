"""What was measured, as values; pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

ONE_BY_ONE, LISTING, OURS = "one by one", "the listing", "ours"
"""The old path; the seed's listing taken literally; this product."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One reading, as every way gets it."""

    reading_id: UUID
    user_id: str
    wallet: str
    base_units: int


@dataclass(frozen=True, slots=True)
class Run:
    """One way minting one set of readings once, from the request to the last confirmation."""

    section: str
    workload: str
    way: str
    accounts: str
    """``new`` or ``existing``."""
    readings: int
    """That were minted and measured."""
    of: int
    """That the workload has."""
    wallets: int
    """That were paid."""
    of_wallets: int
    """That the workload pays."""
    seconds: float
    transactions: int
    fee_lamports: int
    """Network and priority, as the payer's balance fell."""
    rent_lamports: int
    calls: Mapping[str, int]
    """Requests that the node executed, by method, whoever asked."""
    refused: int = 0
    """Requests that it answered with a 429."""
    queries: int | None = None
    """SQL statements of request and minting; none where there is no database."""
    peak_mb: float | None = None
    """Most resident memory of one process of the way."""
    cpu_seconds: float | None = None
    """Of the way's processes, its database not included."""
    database_cpu_seconds: float | None = None
    chain_cpu_seconds: float | None = None
    workers: int | None = None
    note: str = ""

    @property
    def rate(self) -> float:
        """Readings a second."""
        return self.readings / self.seconds

    @property
    def fee_per_wallet(self) -> float:
        """Lamports, without rent, of the whole workload."""
        return self._per_wallet(self.fee_lamports)

    @property
    def rent_per_wallet(self) -> float:
        """Lamports, likewise."""
        return self._per_wallet(self.rent_lamports)

    @property
    def calls_per_thousand(self) -> float:
        """RPC calls for 1,000 wallets, likewise, refused ones included."""
        return 1_000 * self._per_wallet(sum(self.calls.values()) + self.refused)

    def _per_wallet(self, measured: int) -> float:
        """A sample pays a wallet seldomer than the whole does: its sum stands for so many times."""
        return measured * self.of / self.readings / self.of_wallets


@dataclass(frozen=True, slots=True)
class Latency:
    """From a request to the confirmation of the last of its signatures."""

    way: str
    readings: int
    """Of one request."""
    seconds: tuple[float, ...]
    """One for each request."""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Phase:
    """What one step of a run took."""

    name: str
    wall: float
    """Seconds; concurrent calls of one process count once."""
    cpu: float
    """Seconds of the process while the step was under way."""
    calls: int


@dataclass(frozen=True, slots=True)
class Idle:
    """What workers ask of the node when nobody asks anything of them."""

    what: str
    seconds: float
    calls: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Timing:
    """How long one page or endpoint takes."""

    name: str
    p50: float
    """Milliseconds, as the others."""
    p95: float
    queries: int | None
    limit: float | None
    """At the median; none where there is no aim."""
    ok: bool | None


@dataclass(frozen=True, slots=True)
class Taken:
    """Readings that came in by requests of the same size."""

    what: str
    readings: int
    """Of one request."""
    seconds: tuple[float, ...]
    """Of each request."""
    few_statements: int
    """Of a request of ten readings."""
    statements: int
    """Of a request of a thousand."""

    @property
    def rate(self) -> float:
        """Readings a second, of the median request."""
        return self.readings / percentile(self.seconds, 50)


@dataclass(slots=True)
class Book:
    """All of one run of the benchmark."""

    runs: list[Run] = field(default_factory=list)
    latencies: list[Latency] = field(default_factory=list)
    phases: dict[str, list[Phase]] = field(default_factory=dict)
    """By what was run."""
    idle: list[Idle] = field(default_factory=list)
    timings: list[Timing] = field(default_factory=list)
    intake: list[Taken] = field(default_factory=list)
    profile: str = ""

    def find(self, section: str, way: str = OURS, **wanted: object) -> list[Run]:
        """The runs of a section and way whose fields have these values."""
        return [
            run
            for run in self.runs
            if (run.section, run.way) == (section, way)
            and all(getattr(run, name) == value for name, value in wanted.items())
        ]


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that so many percent of all do not pass (nearest rank).

    Raises:
        ValueError: no values, or no percentage.
    """
    if not values or not 0 < percent <= 100:
        raise ValueError("a percentile needs values, and a share above 0 and up to 100")
    return sorted(values)[math.ceil(len(values) * percent / 100) - 1]


def difference(after: Mapping[str, int], before: Mapping[str, int]) -> dict[str, int]:
    """What came to each count; those that stood still are left out, most first."""
    grown = {name: number - before.get(name, 0) for name, number in after.items()}
    return {name: n for name, n in sorted(grown.items(), key=lambda item: -item[1]) if n}


def queued(single: Sequence[float], readings: int, requests: int) -> tuple[float, ...]:
    """How long requests of so many readings take, one after the other, each taking ``single``.

    Extrapolates from a sample: its values are taken in turn.
    """
    return tuple(
        sum(single[(number * readings + at) % len(single)] for at in range(readings))
        for number in range(requests)
    )
