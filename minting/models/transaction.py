"""The journal: every transaction ever signed."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now
from uuid_utils.compat import uuid7

from minting.engine.states import LIVE_TRANSACTIONS, TransactionStatus
from minting.engine.types import MessageVersion
from minting.models.batch import MintBatch, MintSlice
from minting.models.fields import (
    address_field,
    base_units_field,
    choices,
    lamports_field,
    signature_field,
    status_field,
    values,
)


class MintTransaction(models.Model):
    """One signed Solana transaction, committed here before its bytes touch the wire (I2).

    Everything but the state, its times and its evidence is written once and never changed.
    ``reading_ids`` keeps which readings the bytes pay even after they were released from it; it is
    ordered as the leaves of the memo's Merkle tree are.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    batch = models.ForeignKey(MintBatch, on_delete=models.PROTECT, related_name="transactions")
    slice = models.ForeignKey(MintSlice, on_delete=models.PROTECT, related_name="transactions")
    status = status_field(TransactionStatus, TransactionStatus.SIGNED)
    signature = signature_field(unique=True)
    raw = models.BinaryField(help_text="The exact bytes that were and will be sent.")
    version = models.CharField(max_length=2, choices=choices(MessageVersion))
    genesis_hash = models.CharField(max_length=44)
    mint_address = address_field()
    fee_payer = address_field()
    blockhash = models.CharField(max_length=44)
    blockhash_slot = models.BigIntegerField(help_text="S0: context slot of the blockhash.")
    last_valid_block_height = models.BigIntegerField()
    memo_root = models.BinaryField(max_length=32)
    reading_ids = ArrayField(models.UUIDField())
    base_units = base_units_field()
    new_accounts = models.PositiveSmallIntegerField(default=0)
    network_fee_lamports = lamports_field()
    priority_fee_lamports = lamports_field(default=0)
    rent_lamports = lamports_field(default=0)
    slot = models.BigIntegerField(null=True, blank=True, help_text="Where it landed.")
    error = models.JSONField(
        null=True, blank=True, help_text="The error it landed with, as the node says it."
    )
    evidence = models.JSONField(
        null=True, blank=True, help_text="What was asked and answered when it was proven dead."
    )
    signed_at = models.DateTimeField(db_default=Now(), editable=False)
    sent_at = models.DateTimeField(null=True, blank=True)
    doubted_at = models.DateTimeField(null=True, blank=True, help_text="In doubt since.")
    confirmed_at = models.DateTimeField(null=True, blank=True)
    finalized_at = models.DateTimeField(null=True, blank=True)
    chain_slot = models.BigIntegerField(
        null=True, blank=True, help_text="Where reconciliation met it in the mint's history."
    )
    audited_at = models.DateTimeField(
        null=True, blank=True, help_text="When its bytes were last found to pay its results."
    )

    class Meta:
        verbose_name = "transaction"
        ordering = ["-id"]
        indexes = [
            models.Index(
                fields=["last_valid_block_height"],
                name="transaction_live",
                condition=Q(status__in=values(LIVE_TRANSACTIONS)),
            ),
            models.Index(
                F("status"),
                F("id").desc(),
                name="transaction_not_final",
                condition=~Q(status=TransactionStatus.FINALIZED.value),
            ),
            # What may have landed and is not in the walk's sums yet: asked before each wave.
            models.Index(
                fields=["chain_slot"],
                name="transaction_chain_slot",
                include=["status", "base_units"],
            ),
            # A month's statement.
            models.Index(
                fields=["finalized_at"],
                name="transaction_by_end",
                condition=Q(finalized_at__isnull=False),
            ),
            models.Index(
                fields=["id"],
                name="transaction_not_audited",
                condition=Q(status=TransactionStatus.FINALIZED.value, audited_at__isnull=True),
            ),
        ]
        constraints = [
            models.CheckConstraint(
                condition=~Q(
                    status__in=values({TransactionStatus.CONFIRMED, TransactionStatus.FINALIZED})
                )
                | Q(slot__isnull=False, error__isnull=True),
                name="transaction_landed_without_error",
            ),
            models.CheckConstraint(
                condition=~Q(status=TransactionStatus.FAILED.value)
                | Q(slot__isnull=False, error__isnull=False),
                name="transaction_failed_with_error",
            ),
            # Only proof frees readings (I4).
            models.CheckConstraint(
                condition=~Q(status=TransactionStatus.EXPIRED.value) | Q(evidence__isnull=False),
                name="transaction_expired_with_evidence",
            ),
        ]

    def __str__(self) -> str:
        return f"transaction {self.signature[:8]}…{self.signature[-4:]}"
