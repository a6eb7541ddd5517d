"""What was asked in one go, and the pieces it is worked off in."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum

from django.conf import settings
from django.db import models
from django.db.models import Exists, F, OuterRef, Q
from django.db.models.functions import Now
from uuid_utils.compat import uuid7

from minting.engine.states import (
    FINAL_BATCHES,
    BatchStatus,
    ResultStatus,
    SliceStatus,
    TransactionStatus,
)
from minting.models.fields import address_field, choices, lamports_field, status_field, values


class BatchSource(StrEnum):
    """Who asked (contract.md, "A batch")."""

    ADMIN = "admin"
    API = "api"
    CLI = "cli"
    POLL = "poll"
    RETRY = "retry"


class MintBatch(models.Model):
    """A set of readings to be minted: who asked, what it costs, the outcome.

    The counters are written with the results they count, in one database transaction.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    status = status_field(BatchStatus, BatchStatus.QUEUED)
    source = models.CharField(max_length=8, choices=choices(BatchSource))
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    cancel_requested_at = models.DateTimeField(null=True, blank=True)
    cancel_requested_by = models.CharField(
        max_length=150, blank=True, db_default="", help_text="A user's name; the first to ask."
    )
    retry_of = models.ForeignKey(
        "self", null=True, blank=True, on_delete=models.PROTECT, related_name="retries"
    )
    selection = models.OneToOneField(
        "minting.MintSelection",
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="batch",
        help_text="The frozen selection; one batch at most, however often the button is pressed.",
    )
    request_id = models.CharField(
        max_length=128, blank=True, db_default="", help_text="Of the request that asked for it."
    )
    genesis_hash = models.CharField(max_length=44)
    mint_address = address_field()
    total_readings = models.PositiveIntegerField()
    total_kwh = models.DecimalField(
        max_digits=20, decimal_places=9, default=0, help_text="Of all its readings."
    )
    successful_mints = models.PositiveIntegerField(default=0)
    failed_mints = models.PositiveIntegerField(default=0)
    excluded = models.JSONField(
        default=list, blank=True, help_text="Readings left out when the batch was made, and why."
    )
    error_code = models.CharField(max_length=40, blank=True)
    fee_estimate_lamports = lamports_field(null=True, blank=True)
    rent_estimate_lamports = lamports_field(null=True, blank=True)
    fee_paid_lamports = lamports_field(default=0)
    rent_paid_lamports = lamports_field(default=0)

    class Meta:
        verbose_name = "batch"
        verbose_name_plural = "batches"
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["status", "-created_at"], name="batch_status_created"),
            models.Index(fields=["created_at", "id"], name="batch_created"),
        ]
        permissions = [
            ("mint_readings", "Can mint readings (spends SOL, creates tokens)"),
            ("approve_batch", "Can approve batches that wait for it"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(total_readings__gte=F("successful_mints") + F("failed_mints")),
                name="batch_counts_no_more_than_all",
            ),
            # A batch ends when its last reading does, and not before (I9).
            models.CheckConstraint(
                condition=Q(finished_at__isnull=True)
                | Q(total_readings=F("successful_mints") + F("failed_mints")),
                name="batch_finished_when_all_done",
            ),
        ]

    def __str__(self) -> str:
        return f"batch {self.id}"

    @property
    def pending_mints(self) -> int:
        """Readings whose outcome is open: pending or in doubt."""
        return self.total_readings - self.successful_mints - self.failed_mints

    @property
    def is_worth_waiting_for(self) -> bool:
        """Whether it comes to its end without a person's doing."""
        return not self.is_final and self.status != BatchStatus.AWAITING_APPROVAL

    @property
    def is_final(self) -> bool:
        """Whether nothing of it can change any more, but for finality."""
        return self.status in FINAL_BATCHES


DRIVEN_IN_DOUBT = timedelta(minutes=3)
"""After which a transaction in doubt is the sweep's alone. Long enough for what its fork lost to be
sent again for the rest of its life, and for the proof that a node can give at once."""

FLYING = frozenset({TransactionStatus.SIGNED, TransactionStatus.SENT})


class MintSliceQuerySet(models.QuerySet["MintSlice"]):
    """Named questions about slices."""

    def waiting(self) -> MintSliceQuerySet:
        """There is work in them, nobody drives them, and they are not parked.

        Where nothing is left to sign and what is signed is in doubt for long, there is none: the
        sweep looks it up, and a driver would hold up others without doing more.
        """
        mine = self.model._default_manager.filter(pk=OuterRef("pk"))
        unsigned = mine.filter(
            results__status=ResultStatus.PENDING, results__transaction__isnull=True
        )
        flies = Q(transactions__status__in=values(FLYING))
        lately = Q(transactions__doubted_at__isnull=True) | Q(
            transactions__doubted_at__gt=Now() - DRIVEN_IN_DOUBT
        )
        doubted = Q(transactions__doubted_at__lte=Now() - DRIVEN_IN_DOUBT)
        return self.filter(
            Q(status=SliceStatus.QUEUED) | Q(status=SliceStatus.RUNNING, lease_until__lt=Now()),
            Q(parked_until__isnull=True) | Q(parked_until__lte=Now()),
            # The first is so for nearly all, and then the others are not asked.
            ~Exists(mine.filter(flies & doubted))
            | Exists(unsigned)
            | Exists(mine.filter(flies & lately)),
        )

    def parked(self) -> MintSliceQuerySet:
        """Not done, and left alone for a while because workers died of them."""
        return self.exclude(status=SliceStatus.DONE).filter(parked_until__gt=Now())


class MintSlice(models.Model):
    """Part of a batch that one task drives, claimed by compare-and-set.

    The lease only saves work: when it runs out another worker may claim the slice while the first
    still runs, and nothing is minted twice, because every write names the claim it was made under.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    batch = models.ForeignKey(MintBatch, on_delete=models.CASCADE, related_name="slices")
    number = models.PositiveIntegerField()
    status = status_field(SliceStatus, SliceStatus.QUEUED)
    claim = models.UUIDField(null=True, blank=True, help_text="New with every claim: the fence.")
    claimed_by = models.CharField(max_length=120, blank=True)
    lease_until = models.DateTimeField(null=True, blank=True)
    starts = models.PositiveIntegerField(default=0, help_text="Claims since anything moved.")
    deaths = models.PositiveIntegerField(
        default=0, help_text="Workers that died alone while they held it, since anything moved."
    )
    parked_until = models.DateTimeField(null=True, blank=True)
    parked_reason = models.TextField(blank=True)
    digest = models.BinaryField(
        max_length=32, null=True, blank=True, help_text="Of what it pays, as it was approved."
    )

    objects = MintSliceQuerySet.as_manager()

    class Meta:
        verbose_name = "slice"
        ordering = ["batch", "number"]
        constraints = [
            models.UniqueConstraint(fields=["batch", "number"], name="slice_numbered_once"),
            models.CheckConstraint(
                condition=Q(status=SliceStatus.RUNNING.value, claim__isnull=False)
                | (~Q(status=SliceStatus.RUNNING.value) & Q(claim__isnull=True)),
                name="slice_claimed_while_running",
            ),
        ]
        indexes = [
            models.Index(
                fields=["lease_until"],
                name="slice_open",
                condition=~Q(status=SliceStatus.DONE.value),
            ),
        ]

    def __str__(self) -> str:
        return f"slice {self.number} of {self.batch_id}"
