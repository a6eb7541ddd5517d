"""The table of tallies as Prometheus' families, with the buckets that nothing fell into."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.utils import floatToGoString

from minting.cluster import timing
from minting.models import Tally
from minting.monitoring import requests

HISTOGRAMS = ((timing.SECONDS, timing.BUCKETS), (requests.SECONDS, requests.BUCKETS))
COUNTERS = (timing.ERRORS,)

_Labels = tuple[tuple[str, str], ...]
_Values = Mapping[_Labels, float]


def families() -> Iterator[Metric]:
    """All that the registries know, as all processes together counted it."""
    stored: defaultdict[str, dict[_Labels, float]] = defaultdict(dict)
    for name, labels, value in Tally.objects.values_list("name", "labels", "value"):
        stored[name][tuple(json.loads(labels).items())] = value
    for histogram, bounds in HISTOGRAMS:
        yield _histogram(*_named(histogram), bounds, stored)
    for counter in COUNTERS:
        yield _counter(*_named(counter), stored)


def _named(metric: MetricWrapperBase) -> tuple[str, str]:
    (family,) = metric.describe()
    return family.name, family.documentation


def _counter(name: str, text: str, stored: Mapping[str, _Values]) -> Metric:
    told = CounterMetricFamily(name, text)
    for labels, value in sorted(stored.get(f"{name}_total", {}).items()):
        told.add_sample(f"{name}_total", dict(labels), value)
    return told


def _histogram(
    name: str, text: str, bounds: Sequence[float], stored: Mapping[str, _Values]
) -> Metric:
    told = HistogramMetricFamily(name, text)
    filled = stored.get(f"{name}_bucket", {})
    for labels, count in sorted(stored.get(f"{name}_count", {}).items()):
        for bound in (*bounds, math.inf):
            le = floatToGoString(bound)
            key = tuple(sorted((*labels, ("le", le))))
            told.add_sample(f"{name}_bucket", {**dict(labels), "le": le}, filled.get(key, 0.0))
        told.add_sample(f"{name}_count", dict(labels), count)
        told.add_sample(f"{name}_sum", dict(labels), stored[f"{name}_sum"].get(labels, 0.0))
    return told
