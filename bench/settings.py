"""The product's settings and one application more, which counts (``bench.probe``)."""

from gridtoken.settings import *

INSTALLED_APPS = [*INSTALLED_APPS, "bench.probe.Probe"]
# Whoever asks for the admin lists logs in without a page, and has no second factor to show.
STAFF_MFA_REQUIRED = False
