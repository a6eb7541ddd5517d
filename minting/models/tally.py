"""What processes measured of themselves, added up over all of them."""

from __future__ import annotations

from django.db import models


class Tally(models.Model):
    """One series of ``/metrics`` that is counted by processes: calls to nodes, requests.

    Every process adds what is new of its own, so that whoever is asked tells of all, wherever they
    run and whether they still live. Unlogged: after a crash of PostgreSQL all begins at zero, which
    is what readers of counters expect of a restart.
    """

    name = models.CharField(max_length=100, help_text="Of the sample: a sum, a count, a bucket.")
    labels = models.CharField(max_length=400, help_text="JSON, in the order of their names.")
    value = models.FloatField()
    pk = models.CompositePrimaryKey("name", "labels")

    class Meta:
        verbose_name = "tally"
        verbose_name_plural = "tallies"
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.name} {self.labels}"
