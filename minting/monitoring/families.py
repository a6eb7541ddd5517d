"""Families of samples, written short."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from django.utils import timezone
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

Row = tuple[Sequence[str], float]
"""Values of the labels, and the sample's."""


def gauge(name: str, text: str, value: float | None) -> GaugeMetricFamily:
    """One number; no sample where nobody knows it."""
    family = GaugeMetricFamily(f"gridtoken_{name}", text)
    if value is not None:
        family.add_metric((), float(value))
    return family


def gauges(name: str, text: str, labels: Sequence[str], rows: Iterable[Row]) -> GaugeMetricFamily:
    """One number for each of some things."""
    family = GaugeMetricFamily(f"gridtoken_{name}", text, labels=labels)
    for values, value in rows:
        family.add_metric(values, float(value))
    return family


def counters(
    name: str, text: str, labels: Sequence[str], rows: Iterable[Row]
) -> CounterMetricFamily:
    """Numbers that never fall; ``_total`` is appended to their name."""
    family = CounterMetricFamily(f"gridtoken_{name}", text, labels=labels)
    for values, value in rows:
        family.add_metric(values, float(value))
    return family


def age(moment: datetime | None) -> float | None:
    """Seconds since then."""
    return None if moment is None else max((timezone.now() - moment).total_seconds(), 0.0)
