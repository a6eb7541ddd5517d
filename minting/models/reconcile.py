"""What comparing the journal with the chain found, how far it came, and the gate it keeps."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from django.db import models
from django.db.models import Q
from uuid_utils.compat import uuid7

from minting.engine.audit import Difference
from minting.models.fields import address_field, signature_field, status_field
from minting.models.mint import MintInfo


class RunStatus(StrEnum):
    """How a reconciliation ended."""

    RUNNING = "running"
    CLEAN = "clean"
    DIFFERENCES = "differences"
    FAILED = "failed"
    """The chain could not be asked; nothing was concluded."""


def sum_field(**extra: Any) -> models.DecimalField:
    """Base units added up over a mint's whole life; with burns that may pass a u64."""
    return models.DecimalField(max_digits=30, decimal_places=0, **extra)


class ReconcileCursor(models.Model):
    """How far a mint's history was walked, and the sums up to there.

    Moved by compare-and-set, only after everything up to it is stored and I7's equation held.
    """

    mint = models.OneToOneField(
        MintInfo, primary_key=True, on_delete=models.PROTECT, related_name="cursor"
    )
    signature = signature_field(blank=True, help_text="The newest that was walked.")
    slot = models.BigIntegerField(default=-1, help_text="Finalized, and walked to its end.")
    minted = sum_field(default=0, help_text="By all mints on chain, ours and others'.")
    burned = sum_field(default=0)
    journalled = sum_field(default=0, help_text="The part of minted that the journal has.")
    accepted = sum_field(
        default=0, help_text="Supply that no transaction explains and a person accepted."
    )
    moved_at = models.DateTimeField(auto_now=True)

    class Meta:
        verbose_name = "reconciliation cursor"

    def __str__(self) -> str:
        return f"{self.mint_id} up to slot {self.slot}"


class ReconcileRun(models.Model):
    """One comparison of the chain with the journal."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    mint = models.ForeignKey(MintInfo, on_delete=models.PROTECT, related_name="runs")
    status = status_field(RunStatus, RunStatus.RUNNING)
    thorough = models.BooleanField(default=False, help_text="All of the journal, not just the new.")
    started_at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    from_slot = models.BigIntegerField(default=-1)
    to_slot = models.BigIntegerField(null=True, blank=True)
    transactions_seen = models.PositiveBigIntegerField(
        default=0, help_text="Rows of the mint's history, owners' transfers included."
    )
    transactions_read = models.PositiveBigIntegerField(
        default=0, help_text="Those that the journal does not know: fetched and decoded."
    )
    audited = models.PositiveBigIntegerField(
        default=0, help_text="Journalled transactions whose bytes were compared with their results."
    )
    supply_on_chain = sum_field(null=True, blank=True)
    supply_explained = sum_field(null=True, blank=True)
    in_flight = models.PositiveIntegerField(default=0, help_text="Not final yet: no difference.")
    differences = models.PositiveIntegerField(default=0, help_text="Open when it ended.")
    error = models.TextField(blank=True)

    class Meta:
        verbose_name = "reconciliation"
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"reconciliation of {self.started_at:%Y-%m-%d %H:%M}"


class ReconcileFinding(models.Model):
    """One difference, as long as it is found; a person may acknowledge it with a reason."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    mint = models.ForeignKey(MintInfo, on_delete=models.PROTECT, related_name="findings")
    run = models.ForeignKey(
        ReconcileRun, on_delete=models.PROTECT, related_name="findings", help_text="The latest."
    )
    kind = status_field(Difference)
    signature = signature_field(blank=True)
    wallet = address_field(blank=True)
    on_chain = sum_field(null=True, blank=True)
    in_journal = sum_field(null=True, blank=True)
    detail = models.TextField(blank=True)
    found_at = models.DateTimeField(auto_now_add=True)
    seen_at = models.DateTimeField()
    resolved_at = models.DateTimeField(null=True, blank=True, help_text="Not found any more.")
    acknowledged_at = models.DateTimeField(null=True, blank=True)
    acknowledged_by = models.CharField(max_length=150, blank=True)
    reason = models.TextField(blank=True, help_text="Why it was acknowledged.")

    class Meta:
        verbose_name = "difference"
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["mint", "kind", "signature", "wallet"],
                name="finding_once_while_it_lasts",
                condition=Q(resolved_at__isnull=True),
            ),
            models.CheckConstraint(
                condition=Q(acknowledged_at__isnull=True)
                | (~Q(acknowledged_by="") & ~Q(reason="")),
                name="finding_acknowledged_by_somebody_for_a_reason",
            ),
        ]
        permissions = [("acknowledge_finding", "Can acknowledge differences (opens the gate)")]

    def __str__(self) -> str:
        return f"{self.kind} {self.signature or self.wallet}".strip()


class MintingGate(models.Model):
    """Whether anything may be signed, and for which database that was found out."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    system_identifier = models.CharField(
        max_length=20, blank=True, help_text="PostgreSQL's own number of this cluster of data."
    )
    timeline = models.CharField(
        max_length=8, blank=True, help_text="Another after a restore or a promotion."
    )
    checked_at = models.DateTimeField(
        null=True, blank=True, help_text="Empty: to be checked before anything is signed."
    )
    closed_since = models.DateTimeField(null=True, blank=True)
    reason = models.TextField(blank=True)

    class Meta:
        verbose_name = "gate"
        constraints = [models.UniqueConstraint(models.Value(1), name="one_gate")]

    def __str__(self) -> str:
        return f"closed: {self.reason}" if self.closed_since else "open"
