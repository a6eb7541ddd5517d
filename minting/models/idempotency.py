"""What a caller named a request, and what came of it."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from uuid_utils.compat import uuid7


class IdempotencyKey(models.Model):
    """A request that had its effect, so that a repeat is told of it and has none.

    Inserted in the database transaction of the effect; there is no row of a request that runs or
    failed. What is answered is the batch as it stands, or the answer to the letter.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+", db_index=False
    )
    endpoint = models.CharField(max_length=40, help_text="The name of its route.")
    key = models.CharField(max_length=255)
    fingerprint = models.CharField(max_length=64, help_text="SHA-256 of what was asked, in hex.")
    batch = models.ForeignKey(
        "minting.MintBatch", null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    status = models.PositiveSmallIntegerField(
        null=True, blank=True, help_text="HTTP's, where there is no batch."
    )
    # Text, because jsonb forgets the order of names and refuses a NUL.
    answer = models.TextField(blank=True, help_text="JSON, where there is no batch.")
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        verbose_name = "idempotency key"
        constraints = [
            models.UniqueConstraint(
                fields=["user", "endpoint", "key"], name="idempotency_key_used_once"
            ),
            models.CheckConstraint(
                condition=Q(batch__isnull=False, status__isnull=True, answer="")
                | (Q(batch__isnull=True, status__isnull=False) & ~Q(answer="")),
                name="idempotency_key_has_one_answer",
            ),
        ]
        indexes = [models.Index(fields=["created_at"], name="idempotency_key_age")]

    def __str__(self) -> str:
        return f"{self.key} at {self.endpoint}"
