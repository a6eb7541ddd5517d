"""Requests for another wallet, which wait for a second person."""

from __future__ import annotations

from enum import StrEnum

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils import timezone
from uuid_utils.compat import uuid7

from readings.models.import_file import ImportFile
from readings.models.owner import Owner
from readings.models.wallet import Wallet
from readings.second_person import ChangeStatus, ChangeWay

_DECIDED = [ChangeStatus.APPROVED.value, ChangeStatus.REFUSED.value]
_BY_PEOPLE = [ChangeWay.ADMIN.value, ChangeWay.API.value]


def _choices(words: type[StrEnum]) -> list[tuple[str, str]]:
    return [(each.value, each.value.capitalize()) for each in words]


class WalletChangeQuerySet(models.QuerySet["WalletChange"]):
    """Named questions about requests."""

    def proposed(self) -> WalletChangeQuerySet:
        """Neither decided nor over: at most one an owner."""
        return self.filter(status=ChangeStatus.PROPOSED.value)

    def waiting(self) -> WalletChangeQuerySet:
        """Of these, the ones that there is still time for."""
        return self.proposed().filter(expires_at__gt=Now())


class WalletChange(models.Model):
    """A wallet that would replace the one that its owner has, or had last.

    Nobody is paid there before somebody else than whoever asked has approved it. ``intake`` alone
    writes these rows, under the owner's lock.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    owner = models.ForeignKey(Owner, on_delete=models.PROTECT, related_name="wallet_changes")
    old_wallet = models.ForeignKey(
        Wallet,
        on_delete=models.PROTECT,
        related_name="+",
        null=True,
        blank=True,
        help_text="What the owner is paid at until then; none: nothing, since it was retired.",
    )
    address = models.CharField(max_length=44, help_text="Base58.")
    allow_off_curve = models.BooleanField(default=False)
    allow_program_owned = models.BooleanField(default=False)
    exception_reason = models.TextField(blank=True)

    way = models.CharField(max_length=10, choices=_choices(ChangeWay))
    import_file = models.ForeignKey(
        ImportFile, on_delete=models.PROTECT, related_name="+", null=True, blank=True
    )
    proposed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        related_name="+",
        null=True,
        blank=True,
        help_text="Nobody: a command.",
    )
    proposed_at = models.DateTimeField(default=timezone.now, editable=False)
    expires_at = models.DateTimeField(help_text="Undecided until then, it is void.")

    status = models.CharField(
        max_length=10, choices=_choices(ChangeStatus), default=ChangeStatus.PROPOSED.value
    )
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        related_name="+",
        null=True,
        blank=True,
        help_text="Also who withdrew it; nobody: the clock, or a command.",
    )
    decided_at = models.DateTimeField(null=True, blank=True)
    reason = models.TextField(blank=True, help_text="Why it was refused or withdrawn, or a remark.")
    wallet = models.OneToOneField(
        Wallet,
        on_delete=models.PROTECT,
        related_name="+",
        null=True,
        blank=True,
        help_text="The wallet that came of it.",
    )

    objects = models.Manager.from_queryset(WalletChangeQuerySet)()

    class Meta:
        verbose_name = "wallet change"
        permissions = [("approve_walletchange", "Can approve changed wallets")]
        indexes = [
            models.Index(
                fields=["expires_at"],
                name="wallet_change_waiting",
                condition=Q(status=ChangeStatus.PROPOSED.value),
            ),
        ]
        constraints = [
            models.UniqueConstraint(
                name="wallet_change_one_an_owner",
                fields=["owner"],
                condition=Q(status=ChangeStatus.PROPOSED.value),
            ),
            models.CheckConstraint(
                name="wallet_change_status_known",
                condition=Q(status__in=[status.value for status in ChangeStatus]),
            ),
            models.CheckConstraint(
                name="wallet_change_way_known",
                condition=Q(way__in=[way.value for way in ChangeWay]),
            ),
            models.CheckConstraint(
                name="wallet_change_asked_by_somebody",
                condition=~Q(way__in=_BY_PEOPLE) | Q(proposed_by__isnull=False),
            ),
            models.CheckConstraint(
                name="wallet_change_decided_by_somebody",
                condition=~Q(status__in=_DECIDED)
                | Q(decided_by__isnull=False, decided_at__isnull=False),
            ),
            models.CheckConstraint(
                name="wallet_change_by_a_second_person",
                condition=~Q(status__in=_DECIDED)
                | Q(proposed_by__isnull=True)
                | ~Q(decided_by=F("proposed_by")),
            ),
            models.CheckConstraint(
                name="wallet_change_wallet_once_approved",
                condition=Q(status=ChangeStatus.APPROVED.value, wallet__isnull=False)
                | (~Q(status=ChangeStatus.APPROVED.value) & Q(wallet__isnull=True)),
            ),
            models.CheckConstraint(
                name="wallet_change_exception_has_reason",
                condition=Q(allow_off_curve=False, allow_program_owned=False)
                | ~Q(exception_reason=""),
            ),
        ]

    def __str__(self) -> str:
        return self.address
