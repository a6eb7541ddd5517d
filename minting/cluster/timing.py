"""How long nodes take to answer, and how often they do not, by method.

A registry of this process; ``minting.monitoring`` adds up those of all.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Histogram

from minting.engine.errors import SolanaError

REGISTRY = CollectorRegistry()

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 15.0)
"""Seconds, up to ``transport.DEFAULT_TIMEOUT``."""

SECONDS = Histogram(
    "gridtoken_rpc_request_duration_seconds",
    "Seconds that a request to a node took, whatever came of it.",
    ["node", "method"],
    registry=REGISTRY,
    buckets=BUCKETS,
)
ERRORS = Counter(
    "gridtoken_rpc_errors",
    "Requests to a node that got no usable answer.",
    ["node", "method", "error"],
    registry=REGISTRY,
)


def took(node: str, method: str, seconds: float) -> None:
    """One request, answered or not."""
    SECONDS.labels(node, method).observe(seconds)


def failed(node: str, method: str, failure: SolanaError) -> None:
    """One that got no usable answer; its error's ``code`` is one of a handful."""
    ERRORS.labels(node, method, failure.code).inc()
