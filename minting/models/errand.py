"""Long work on a selection, done by a worker while a person looks on."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from uuid_utils.compat import uuid7

from minting.engine.errands import OPEN_ERRANDS, ErrandKind, ErrandStatus
from minting.models.fields import status_field
from minting.models.selection import MintSelection


class Errand(models.Model):
    """One kind of work on one selection: asked for once, however often the button is pressed.

    The row is the truth; the queue's task only says "look". The claim is a fence: whoever lost it
    writes nothing any more.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    selection = models.ForeignKey(MintSelection, on_delete=models.CASCADE, related_name="errands")
    kind = status_field(ErrandKind)
    status = status_field(ErrandStatus, ErrandStatus.WAITING)
    wish = models.JSONField(default=dict, blank=True, help_text="What was asked for besides.")
    done = models.PositiveIntegerField(default=0, help_text="Wallets or readings looked at.")
    total = models.PositiveIntegerField(default=0, help_text="Of so many, once that is known.")
    answer = models.JSONField(null=True, blank=True)
    error_code = models.CharField(max_length=40, blank=True)
    error = models.TextField(blank=True)
    asked_at = models.DateTimeField(auto_now_add=True)
    called_at = models.DateTimeField(
        null=True, blank=True, help_text="When a worker was last called."
    )
    finished_at = models.DateTimeField(null=True, blank=True)
    claim = models.UUIDField(null=True, blank=True, help_text="New with every claim: the fence.")
    claimed_by = models.CharField(max_length=120, blank=True)
    lease_until = models.DateTimeField(null=True, blank=True)
    starts = models.PositiveSmallIntegerField(default=0, help_text="Claims since it was asked for.")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["selection", "kind"], name="errand_once_a_selection"),
            models.CheckConstraint(
                condition=Q(status=ErrandStatus.RUNNING.value, claim__isnull=False)
                | (~Q(status=ErrandStatus.RUNNING.value) & Q(claim__isnull=True)),
                name="errand_claimed_while_running",
            ),
            models.CheckConstraint(
                condition=~Q(status=ErrandStatus.FAILED.value) | ~Q(error=""),
                name="errand_failure_has_reason",
            ),
        ]
        indexes = [
            models.Index(
                fields=["claimed_by"],
                name="errand_running",
                condition=Q(status=ErrandStatus.RUNNING.value),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} of {self.selection_id}"

    @property
    def is_open(self) -> bool:
        """Whether it is still to be done."""
        return self.status in OPEN_ERRANDS
