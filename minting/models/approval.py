"""Requests for a second person's approval."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now
from uuid_utils.compat import uuid7

from minting.engine.approval import Decision
from minting.models.batch import MintBatch
from minting.models.fields import lamports_field, status_field


class MintApprovalQuerySet(models.QuerySet["MintApproval"]):
    """Named questions about approvals."""

    def waiting(self) -> MintApprovalQuerySet:
        """Nobody has decided, and there is still time."""
        return self.filter(decision=Decision.WAITING, expires_at__gt=Now())


class MintApproval(models.Model):
    """One batch that waits, or waited, for a second person.

    It is bound to the digest (``engine.approval``) of what the batch pays and may cost; whoever
    decides is never who asked.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    batch = models.OneToOneField(MintBatch, on_delete=models.PROTECT, related_name="approval")
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    requested_at = models.DateTimeField(db_default=Now(), editable=False)
    why = models.TextField(help_text="Which limit is passed, in a sentence.")
    fee_cap_lamports = lamports_field(help_text="Fees and rent that it may cost at most.")
    digest = models.BinaryField(max_length=32)
    decision = status_field(Decision, Decision.WAITING)
    expires_at = models.DateTimeField(
        help_text="Undecided until then, or approved and unsigned, it is void."
    )
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    decided_at = models.DateTimeField(null=True, blank=True)
    reason = models.TextField(blank=True, help_text="Why it was refused, or a remark.")

    objects = MintApprovalQuerySet.as_manager()

    class Meta:
        verbose_name = "approval"
        ordering = ["-id"]
        indexes = [
            models.Index(
                fields=["expires_at"],
                name="approval_waiting",
                condition=Q(decision=Decision.WAITING.value),
            ),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(requested_by__isnull=True)
                | Q(decided_by__isnull=True)
                | ~Q(decision=Decision.APPROVED.value)
                | ~Q(decided_by=F("requested_by")),
                name="approval_by_a_second_person",
            ),
            models.CheckConstraint(
                condition=~Q(decision__in=[Decision.APPROVED.value, Decision.REFUSED.value])
                | Q(decided_by__isnull=False, decided_at__isnull=False),
                name="approval_decided_by_somebody",
            ),
        ]

    def __str__(self) -> str:
        return f"approval of batch {self.batch_id}"
