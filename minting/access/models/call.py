"""The trail of calls that spend."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from uuid_utils.compat import uuid7

from minting.access.models.token import ApiToken


class ApiCall(models.Model):
    """One call to mint, to retry or to cancel: who, from where, what, and the answer.

    A call with an effect is inserted in the database transaction of that effect, so neither is
    there without the other; its answer is noted when it is made. A call that was refused, or that
    repeated an earlier one, had none.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    at = models.DateTimeField(db_default=Now(), editable=False)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    username = models.CharField(max_length=150, help_text="Of then.")
    token = models.ForeignKey(ApiToken, null=True, on_delete=models.SET_NULL, related_name="calls")
    token_beginning = models.CharField(max_length=8, blank=True, help_text="Empty for a session.")
    address = models.GenericIPAddressField(null=True)
    endpoint = models.CharField(max_length=40, help_text="The name of its route.")
    path = models.CharField(max_length=200)
    idempotency_key = models.CharField(max_length=255, blank=True)
    effect = models.BooleanField(help_text="Whether anything came of it.")
    batch = models.ForeignKey(
        "minting.MintBatch", null=True, on_delete=models.PROTECT, related_name="api_calls"
    )
    status = models.PositiveSmallIntegerField(
        null=True, help_text="HTTP's; null: the process ended before it answered."
    )
    code = models.CharField(max_length=40, blank=True, help_text="Why it was refused.")
    detail = models.CharField(max_length=300, blank=True)

    class Meta:
        verbose_name = "API call"
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["at"], name="call_without_effect", condition=Q(effect=False)),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(effect=False) | Q(batch__isnull=False),
                name="call_with_effect_has_batch",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.endpoint} by {self.username} at {self.at:%Y-%m-%d %H:%M:%S}"
