"""The product's settings and one application more, which counts (``bench.probe``)."""

from gridtoken.settings import *

INSTALLED_APPS = [*INSTALLED_APPS, "bench.probe.Probe"]
