"""The Solana address that an owner is paid at."""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q
from django.utils import timezone
from uuid_utils.compat import uuid7

from readings.models.owner import Owner


class WalletQuerySet(models.QuerySet["Wallet"]):
    """Named questions about wallets."""

    def current(self) -> WalletQuerySet:
        """Wallets that are paid now: at most one an owner."""
        return self.filter(retired_at=None)


class Wallet(models.Model):
    """An address is never edited: a new one is registered and retires the old.

    Two owners may share an address (a landlord who is paid for several); one owner has one
    current wallet.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    owner = models.ForeignKey(Owner, on_delete=models.PROTECT, related_name="wallets")
    address = models.CharField(max_length=44, db_index=True, help_text="Base58.")
    registered_at = models.DateTimeField(default=timezone.now, editable=False)
    retired_at = models.DateTimeField(null=True, blank=True, editable=False)
    allow_off_curve = models.BooleanField(
        default=False, help_text="The address belongs to a program (PDA) and may be paid."
    )
    allow_program_owned = models.BooleanField(
        default=False, help_text="The account is owned by a program and may be paid."
    )
    exception_reason = models.TextField(blank=True, help_text="Why an exception is allowed.")

    objects = models.Manager.from_queryset(WalletQuerySet)()

    class Meta:
        indexes = [
            models.Index(fields=["id"], name="wallet_retired", condition=~Q(retired_at=None)),
            models.Index(fields=["id"], name="wallet_off_curve", condition=Q(allow_off_curve=True)),
        ]
        constraints = [
            models.UniqueConstraint(
                name="wallet_one_current_per_owner",
                fields=["owner"],
                condition=Q(retired_at=None),
                violation_error_message="This owner has a current wallet.",
            ),
            models.CheckConstraint(
                name="wallet_retired_after_registered",
                condition=Q(retired_at=None) | Q(retired_at__gte=F("registered_at")),
            ),
            models.CheckConstraint(
                name="wallet_exception_has_reason",
                condition=Q(allow_off_curve=False, allow_program_owned=False)
                | ~Q(exception_reason=""),
                violation_error_message="An exception needs a reason.",
            ),
        ]

    def __str__(self) -> str:
        return self.address
