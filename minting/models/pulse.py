"""Who lives: the nodes that are asked, the account that pays, the clusters that work."""

from __future__ import annotations

from enum import StrEnum

from django.db import models

from minting.models.fields import status_field


class PulseKind(StrEnum):
    """What it is whose life is noted."""

    NODE = "node"
    PAYER = "payer"
    CLUSTER = "cluster"
    """A ``qcluster`` with its workers."""
    JOURNAL = "journal"
    """The disk of ``MINT_JOURNAL_DIR`` on a worker's machine; a row only where it failed."""


class Pulse(models.Model):
    """The last sign of life of one thing, for people to see; nothing is decided by it.

    A row and not a process's memory: a page is served by any of several processes.
    """

    id = models.BigAutoField(primary_key=True)
    kind = status_field(PulseKind)
    name = models.CharField(max_length=200, help_text="Host and port, address, host and process.")
    alive_at = models.DateTimeField(null=True, blank=True, help_text="Its last sign of life.")
    checked_at = models.DateTimeField(help_text="When it was last asked.")
    silent_since = models.DateTimeField(
        null=True, blank=True, help_text="The first of the questions that it did not answer."
    )
    trouble = models.TextField(blank=True, help_text="What it answered, or did not, at the last.")
    facts = models.JSONField(default=dict, blank=True, help_text="What it said of itself.")

    class Meta:
        verbose_name = "pulse"
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(fields=["kind", "name"], name="one_pulse_each"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"
