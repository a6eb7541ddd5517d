"""One reading's outcome in one batch."""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

from django.db import models
from django.db.models import Case, F, Q, Value, When
from uuid_utils.compat import uuid7

from minting.engine.states import LIVE_RESULTS, OPEN_RESULTS, SUCCEEDED_RESULTS, ResultStatus
from minting.engine.types import U64_MAX
from minting.models.batch import MintBatch, MintSlice
from minting.models.fields import (
    address_field,
    base_units_field,
    signature_field,
    status_field,
    values,
)
from minting.models.transaction import MintTransaction

ENDED_WITHOUT_TOKENS = frozenset({ResultStatus.FAILED, ResultStatus.CANCELLED})


class MintResultQuerySet(models.QuerySet["MintResult"]):
    """Named questions about results."""

    def unsigned(self, slice_ids: Collection[UUID]) -> MintResultQuerySet:
        """Pending in these slices and in no live transaction, as planned, a wallet's together."""
        return self.filter(
            slice_id__in=slice_ids, status=ResultStatus.PENDING, transaction__isnull=True
        ).order_by("slice", "planned", "wallet_address", "reading_id")


class MintResult(models.Model):
    """What became of one reading in one batch (the seed's four fields, and why).

    The wallet and the base units are fixed when the batch is made; every later step uses them.
    ``success`` follows from ``status`` and is computed by the database, so the two cannot disagree.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    # Every index is written four times in a result's life: none that another one covers.
    batch = models.ForeignKey(
        MintBatch, on_delete=models.PROTECT, related_name="results", db_index=False
    )
    slice = models.ForeignKey(
        MintSlice,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="results",
        db_index=False,
    )
    reading = models.ForeignKey("readings.MeterReading", on_delete=models.PROTECT, related_name="+")
    user_id = models.CharField(max_length=64, help_text="The owner's id when the batch was made.")
    wallet_address = address_field(blank=True)
    kwh_amount = models.DecimalField(max_digits=20, decimal_places=9)
    base_units = base_units_field()
    status = status_field(ResultStatus, ResultStatus.PENDING)
    success = models.GeneratedField(
        expression=Case(
            When(status__in=values(SUCCEEDED_RESULTS), then=Value(True)),
            When(status__in=values(ENDED_WITHOUT_TOKENS), then=Value(False)),
            default=Value(None),
        ),
        output_field=models.BooleanField(null=True),
        db_persist=True,
    )
    error = models.TextField(blank=True)
    error_code = models.CharField(max_length=40, blank=True)
    permanent = models.BooleanField(
        default=False, help_text="Whether trying again would fail the same way."
    )
    transaction = models.ForeignKey(
        MintTransaction,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="results",
        help_text="The one live transaction that pays it (I3).",
    )
    tx_signature = signature_field(blank=True)
    slot = models.BigIntegerField(null=True, blank=True)
    attempts = models.PositiveSmallIntegerField(default=0, help_text="Transactions signed for it.")
    planned = models.PositiveIntegerField(
        null=True, blank=True, help_text="Number of its transaction in the batch's plan."
    )
    rent_elsewhere = models.BooleanField(
        default=False,
        help_text="Another transaction of the batch's plan counts the rent of its account.",
    )
    account_held = models.BigIntegerField(
        null=True,
        blank=True,
        help_text="Lamports at the address of its missing token account, in the batch's plan; "
        "none: the account was there.",
    )
    alone = models.BooleanField(
        default=False, help_text="Its wallet made a landed transaction fail: it travels alone."
    )
    settled_at = models.DateTimeField(null=True, blank=True)
    retry_number = models.PositiveSmallIntegerField(
        default=0, help_text="Automatic retries before this result."
    )
    retry_at = models.DateTimeField(
        null=True, blank=True, help_text="When a transient failure is tried again."
    )

    objects = MintResultQuerySet.as_manager()

    class Meta:
        verbose_name = "result"
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["wallet_address"], name="result_wallet"),
            # Finalized ones are found by walking the newest.
            models.Index(
                F("status"),
                F("id").desc(),
                name="result_not_final",
                condition=~Q(status=ResultStatus.FINALIZED.value),
            ),
            # Whether a slice is done is asked with every settlement.
            models.Index(
                fields=["slice"],
                name="result_open_in_slice",
                condition=Q(status__in=values(OPEN_RESULTS)),
            ),
            models.Index(
                fields=["retry_at"],
                name="result_retry_due",
                condition=Q(status=ResultStatus.FAILED.value, retry_at__isnull=False),
            ),
            models.Index(
                fields=["slice", "wallet_address"],
                name="result_unsigned",
                condition=Q(status=ResultStatus.PENDING.value, transaction__isnull=True),
            ),
        ]
        constraints = [
            # I1: at most one open or succeeded result per reading, whoever races.
            models.UniqueConstraint(
                fields=["reading"],
                name="one_live_result_per_reading",
                condition=Q(status__in=values(LIVE_RESULTS)),
            ),
            models.UniqueConstraint(fields=["batch", "reading"], name="result_once_a_batch"),
            models.CheckConstraint(
                condition=Q(base_units__gte=0, base_units__lte=U64_MAX), name="result_u64"
            ),
            models.CheckConstraint(
                condition=~Q(status__in=values(SUCCEEDED_RESULTS))
                | (Q(transaction__isnull=False, slot__isnull=False) & ~Q(tx_signature="")),
                name="result_success_has_signature",
            ),
            models.CheckConstraint(
                condition=~Q(status__in=values(ENDED_WITHOUT_TOKENS))
                | (Q(transaction__isnull=True) & ~Q(error_code="")),
                name="result_failure_has_reason",
            ),
            models.CheckConstraint(
                condition=Q(retry_at__isnull=True)
                | Q(status=ResultStatus.FAILED.value, permanent=False),
                name="result_retry_only_after_transient_failure",
            ),
            models.CheckConstraint(
                condition=~Q(status=ResultStatus.IN_DOUBT.value) | Q(transaction__isnull=False),
                name="result_in_doubt_has_transaction",
            ),
        ]

    def __str__(self) -> str:
        return f"result of {self.reading}"
