"""How long requests take, by view and status."""

from __future__ import annotations

import time
from collections.abc import Callable

from django.http import HttpRequest, HttpResponseBase
from prometheus_client import CollectorRegistry, Histogram

REGISTRY = CollectorRegistry()

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
"""Callers invent others, and each would be a series for ever."""

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""Seconds: a request may wait for its batch, or bring a large file."""

SECONDS = Histogram(
    "gridtoken_http_request_duration_seconds",
    "Seconds from a request's arrival to its answer, the sending of a long one left out.",
    ["method", "view", "status"],
    registry=REGISTRY,
    buckets=BUCKETS,
)


class RequestTimingMiddleware:
    """Outermost, so that it times what the others do too."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """The answer, timed."""
        began = time.perf_counter()
        response = self._get_response(request)
        method = request.method if request.method in METHODS else "other"
        seconds = time.perf_counter() - began
        SECONDS.labels(method, _view(request), response.status_code).observe(seconds)
        return response


def _view(request: HttpRequest) -> str:
    """The name of what answers, whatever the path's ids; ``none`` where nothing does."""
    match = request.resolver_match
    if match is None:
        return "none"
    return str(match.view_name or match.route)
