"""What a meter measured over one interval."""

from __future__ import annotations

from enum import StrEnum
from uuid import uuid4

from django.conf import settings
from django.db import models
from django.db.models import Case, F, OuterRef, Q, Subquery, When
from django.utils import timezone

from readings.models.import_file import ImportFile
from readings.models.meter import Meter
from readings.models.owner import Owner
from readings.models.wallet import Wallet
from readings.moments import period
from readings.rules import (
    CODED,
    KWH_PLACES,
    UNCODED,
    UNDECIDED,
    PeriodKind,
    ReadingSource,
    ReadingStatus,
    Verification,
    reason_of,
)

IDENTITY_START = Case(
    When(period_kind=PeriodKind.INTERVAL.value, then=F("period_start")), default=F("period_end")
)
"""The start, where it is part of what makes two readings the same: not for timestamps, whose start
is computed. The end stands in for it there, which no interval's start can equal."""

_CODED = sorted(status.value for status in CODED)
_UNCODED = sorted(status.value for status in UNCODED)


def _choices(enum: type[StrEnum]) -> list[tuple[str, str]]:
    return [(member.value, member.value.replace("_", " ").capitalize()) for member in enum]


def _kwh_field(*, null: bool = False) -> models.DecimalField:
    return models.DecimalField(max_digits=20, decimal_places=KWH_PLACES, null=null, blank=null)


class MeterReadingQuerySet(models.QuerySet["MeterReading"]):
    """Named questions about readings."""

    def current(self) -> MeterReadingQuerySet:
        """The newest revision of each reading."""
        return self.filter(is_current=True)

    def mintable(self) -> MeterReadingQuerySet:
        """What ``--pending``, the poller and "all that match" take."""
        return self.current().filter(status=ReadingStatus.PENDING.value)

    def held(self, code: str | None = None) -> MeterReadingQuerySet:
        """What is held, for one cause or any."""
        held = self.current().filter(status=ReadingStatus.HELD.value)
        return held if code is None else held.filter(code=code)

    def undecided(self) -> MeterReadingQuerySet:
        """What the rules may still judge: pending or held."""
        return self.current().filter(status__in=[status.value for status in UNDECIDED])

    def minted(self) -> MeterReadingQuerySet:
        """What is paid, corrected afterwards or not."""
        return self.filter(status=ReadingStatus.MINTED.value)

    def with_wallet_address(self) -> MeterReadingQuerySet:
        """Annotates the owner's current wallet as ``owner_wallet_address``."""
        current = Wallet.objects.filter(owner=OuterRef("owner"), retired_at=None)
        return self.annotate(owner_wallet_address=Subquery(current.values("address")[:1]))


class MeterReading(models.Model):
    """One revision of one reading: start inclusive, end exclusive, UTC.

    ``status`` and ``last_result_id`` are derived from minting's results and stored, because
    millions are filtered by them; only ``intake`` (while nothing is minted) and
    ``queries.set_status`` write them.
    """

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    """Random (v4): a leaf on chain must tell nothing, not even the hour."""
    meter = models.ForeignKey(
        Meter, on_delete=models.PROTECT, related_name="readings", db_index=False
    )
    owner = models.ForeignKey(
        Owner,
        on_delete=models.PROTECT,
        related_name="readings",
        null=True,
        blank=True,
        db_index=False,
        help_text="Who held the meter when the period ended; fixed at intake.",
    )

    kwh_amount = _kwh_field()
    energy_generated = _kwh_field(null=True)
    energy_consumed = _kwh_field(null=True)

    period_start = models.DateTimeField()
    period_end = models.DateTimeField()
    period_kind = models.CharField(max_length=10, choices=_choices(PeriodKind))

    revision = models.PositiveIntegerField(default=1)
    is_current = models.BooleanField(default=True)
    correction_difference = _kwh_field(null=True)
    """Of a correction after minting: kWh now less kWh minted."""
    correction_reason = models.TextField(blank=True)

    status = models.CharField(max_length=10, choices=_choices(ReadingStatus))
    code = models.CharField(max_length=64, blank=True)
    last_result_id = models.UUIDField(null=True, blank=True)

    verification = models.CharField(max_length=17, choices=_choices(Verification))
    meter_signature = models.TextField(blank=True)
    external_id = models.CharField(max_length=200, blank=True)
    source = models.CharField(max_length=10, choices=_choices(ReadingSource))
    submitted_at = models.DateTimeField(default=timezone.now)
    submitted_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        related_name="+",
        null=True,
        blank=True,
        db_index=False,
    )

    import_file = models.ForeignKey(
        ImportFile,
        on_delete=models.PROTECT,
        related_name="readings",
        null=True,
        blank=True,
        db_index=False,
    )

    released_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        related_name="+",
        null=True,
        blank=True,
        db_index=False,
    )
    released_at = models.DateTimeField(null=True, blank=True)
    release_reason = models.TextField(blank=True)

    owner_wallet_address: str | None
    """There only after ``with_wallet_address``."""

    objects = models.Manager.from_queryset(MeterReadingQuerySet)()

    class Meta:
        permissions = [
            ("release_meterreading", "Can release held readings"),
            ("correct_meterreading", "Can correct readings"),
        ]
        constraints = [
            # Also the index that lists a meter's readings by time.
            models.UniqueConstraint(
                F("meter"),
                F("period_end"),
                IDENTITY_START,
                F("revision"),
                name="reading_identity_revision",
            ),
            models.UniqueConstraint(
                F("meter"),
                F("period_end"),
                IDENTITY_START,
                condition=Q(is_current=True),
                name="reading_one_current",
            ),
            models.CheckConstraint(
                name="reading_ends_after_start", condition=Q(period_end__gt=F("period_start"))
            ),
            models.CheckConstraint(name="reading_revision_from_1", condition=Q(revision__gte=1)),
            models.CheckConstraint(
                name="reading_status_known",
                condition=Q(status__in=[status.value for status in ReadingStatus]),
            ),
            models.CheckConstraint(
                name="reading_period_kind_known",
                condition=Q(period_kind__in=[kind.value for kind in PeriodKind]),
            ),
            models.CheckConstraint(
                name="reading_verification_known",
                condition=Q(verification__in=[kind.value for kind in Verification]),
            ),
            models.CheckConstraint(
                name="reading_code_where_due",
                condition=(Q(status__in=_CODED) & ~Q(code=""))
                | Q(status__in=_UNCODED, code="")
                | ~Q(status__in=_CODED + _UNCODED),
            ),
            models.CheckConstraint(
                name="reading_only_export_is_minted",
                condition=Q(kwh_amount__gt=0) | Q(status=ReadingStatus.NOT_MINTED.value),
            ),
            models.CheckConstraint(
                name="reading_release_has_reason",
                condition=Q(released_at=None, release_reason="")
                | (Q(released_at__isnull=False) & ~Q(release_reason="")),
            ),
        ]
        indexes = [
            models.Index(F("submitted_at").desc(), F("id").desc(), name="reading_newest"),
            # What is common is found by walking all of them in order; what is rare needs an index.
            models.Index(
                F("status"),
                F("submitted_at").desc(),
                F("id").desc(),
                name="reading_unminted",
                condition=~Q(status=ReadingStatus.MINTED.value),
            ),
            # Carries what the dashboard adds up, so that it reads no row.
            models.Index(
                F("status"),
                F("period_end"),
                F("id"),
                name="reading_backlog",
                include=["code", "kwh_amount"],
                condition=~Q(status=ReadingStatus.MINTED.value),
            ),
            models.Index(F("owner"), F("period_end").desc(), name="reading_by_owner"),
            models.Index(F("period_end"), F("id"), name="reading_by_period"),
            models.Index(F("kwh_amount"), name="reading_by_amount"),
            models.Index(
                F("code"),
                F("submitted_at").desc(),
                F("id").desc(),
                name="reading_by_code",
                condition=~Q(code=""),
            ),
            models.Index(
                F("verification"),
                F("submitted_at").desc(),
                F("id").desc(),
                name="reading_by_verification",
                condition=~Q(verification=Verification.VERIFIED.value),
            ),
            models.Index(
                F("external_id"), name="reading_by_external_id", condition=~Q(external_id="")
            ),
            models.Index(
                F("import_file"),
                F("submitted_at").desc(),
                F("id").desc(),
                name="reading_by_file",
                condition=Q(import_file__isnull=False),
            ),
            models.Index(
                F("owner"),
                F("id"),
                name="reading_pending",
                condition=Q(status=ReadingStatus.PENDING.value, is_current=True),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.meter}, {period(self.period_start, self.period_end)}"

    @property
    def reason(self) -> str:
        """The sentence of the code; empty without one and for codes of minting."""
        return reason_of(self.code)
