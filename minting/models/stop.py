"""The switch that stops all signing."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from uuid_utils.compat import uuid7


class MintingStop(models.Model):
    """From when to when nothing new was signed anywhere, who said so, and why.

    Minting is stopped while one of these is not resumed. Recovery goes on: what is signed is
    still settled, resent, or proven dead.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    reason = models.TextField()
    stopped_by = models.CharField(max_length=150, help_text="A user's name, or what tripped it.")
    stopped_at = models.DateTimeField(auto_now_add=True)
    resumed_by = models.CharField(max_length=150, blank=True)
    resumed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = "stop"
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                models.Value(1), name="one_stop_at_a_time", condition=Q(resumed_at__isnull=True)
            ),
        ]
        permissions = [
            ("stop_minting", "Can stop minting"),
            ("resume_minting", "Can resume minting"),
        ]

    def __str__(self) -> str:
        return f"stopped by {self.stopped_by} at {self.stopped_at:%Y-%m-%d %H:%M}: {self.reason}"
