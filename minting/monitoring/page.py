"""What ``/metrics`` answers: of the whole installation, whichever process is asked."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.core import InfoMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from gridtoken import VERSION
from minting.monitoring import chain, published, work
from minting.monitoring.families import gauges
from minting.monitoring.publishing import publisher
from minting.service.watch import figures
from minting.service.watch.keeping import Kept

KEPT = 5.0
"""Seconds for which the tables are not asked again; below the shortest usual scrape interval, so
that of two processes no later answer is older."""

PARTS: dict[str, Callable[[], Iterator[Metric]]] = {
    "readings": work.readings,
    "batches": work.batches,
    "polling": work.polling,
    "transactions": work.transactions,
    "workers": work.workers,
    "webhooks": work.webhooks,
    "standing": chain.standing,
    "chain": chain.chain,
}


class Installation(Collector):
    """All families."""

    def collect(self) -> Iterator[Metric]:
        """What the tables tell, and what all processes counted."""
        yield InfoMetricFamily("gridtoken_build", "What runs here.", value={"version": VERSION})
        yield from _figures.get()
        # Its own share is not a few seconds late.
        publisher.publish()
        yield from published.families()


def answer(accept: str) -> tuple[bytes, str]:
    """The page in the format that the reader takes (``Accept``), and its content type."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Once(list(Installation().collect())))
    encode, content_type = choose_encoder(accept)
    return encode(registry), content_type


def forget() -> None:
    """The next answer asks everything anew, but for sums of what never changes."""
    figures.forget()
    _figures.forget()


def ask_tables() -> list[Metric]:
    """The tables' families, and how long each part took."""
    families: list[Metric] = []
    took: list[tuple[list[str], float]] = []
    for name, part in PARTS.items():
        began = time.perf_counter()
        families.extend(part())
        took.append(([name], time.perf_counter() - began))
    families.append(
        gauges("metrics_duration_seconds", "What asking for this page took.", ["part"], took)
    )
    return families


class _Once(Collector):
    """Families that are known; registering must not ask for them again."""

    def __init__(self, families: list[Metric]) -> None:
        self._families = families

    def collect(self) -> list[Metric]:
        """They."""
        return self._families


_figures = Kept(ask_tables, least=KEPT)
