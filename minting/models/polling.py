"""The poller: what it did last, when it is due again, and from when to when people paused it."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from uuid_utils.compat import uuid7

from minting.models.batch import MintBatch


class Polling(models.Model):
    """One row for the whole installation. Nothing is minted or not minted because of it.

    It saves calls and tells people; that two polls never work at once is an advisory lock's doing,
    and that no reading is minted twice the journal's.
    """

    id = models.BigAutoField(primary_key=True)
    called_at = models.DateTimeField(
        null=True, blank=True, help_text="When a worker was last called to poll."
    )
    began_at = models.DateTimeField(null=True, blank=True, help_text="When the last poll began.")
    ended_at = models.DateTimeField(
        null=True, blank=True, help_text="When it ended; empty while it runs, or if it died."
    )
    batches = models.PositiveIntegerField(default=0, help_text="That the last poll made.")
    readings = models.PositiveIntegerField(default=0, help_text="In these.")
    left_out = models.JSONField(
        default=dict, blank=True, help_text="Pending readings that cannot be minted, by code."
    )
    below_threshold = models.PositiveIntegerField(
        default=0, help_text="Pending readings of owners who have too little yet."
    )
    trouble_code = models.CharField(max_length=40, blank=True)
    trouble = models.TextField(blank=True, help_text="Why the last poll gave up.")
    failures = models.PositiveIntegerField(default=0, help_text="Polls in a row that gave up.")
    not_before = models.DateTimeField(
        null=True, blank=True, help_text="The next poll waits so long, because of failures."
    )
    last_batch = models.ForeignKey(
        MintBatch, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )

    class Meta:
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(models.Value(1), name="one_polling"),
            models.CheckConstraint(
                name="polling_trouble_has_code",
                condition=Q(trouble="", trouble_code="") | (~Q(trouble="") & ~Q(trouble_code="")),
            ),
        ]

    def __str__(self) -> str:
        return f"polling, last at {self.began_at}"


class PollingPause(models.Model):
    """From when to when the poller made no batch, who said so, and why."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    reason = models.TextField()
    paused_by = models.CharField(max_length=150, help_text="A user's name.")
    paused_at = models.DateTimeField(auto_now_add=True)
    resumed_by = models.CharField(max_length=150, blank=True)
    resumed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = "pause of the poller"
        verbose_name_plural = "pauses of the poller"
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                models.Value(1), name="one_pause_at_a_time", condition=Q(resumed_at__isnull=True)
            ),
            models.CheckConstraint(name="pause_has_reason", condition=~Q(reason="")),
        ]
        permissions = [("pause_polling", "Can pause and resume the poller")]

    def __str__(self) -> str:
        return f"paused by {self.paused_by} at {self.paused_at:%Y-%m-%d %H:%M}: {self.reason}"
