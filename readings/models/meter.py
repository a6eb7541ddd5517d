"""Meters, and who holds them when."""

from __future__ import annotations

from datetime import timedelta

from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.search import SearchVector
from django.db import models
from django.db.models import F, Q
from django.utils import timezone
from uuid_utils.compat import uuid7

from readings.models.owner import Owner
from readings.models.words import beginning

QUARTER_HOUR = 900
PLACE_WORDS = SearchVector("name", "location", config="simple")


class MeterQuerySet(models.QuerySet["Meter"]):
    """Named questions about meters."""

    def named(self, text: str) -> MeterQuerySet:
        """Those whose serial, or words of name and location, begin so."""
        begins = Q(serial__startswith=text)
        if words := beginning(text):
            begins |= Q(words=words)
        return self.alias(words=PLACE_WORDS).filter(begins)


class Meter(models.Model):
    """A smart meter, known by its serial."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    serial = models.CharField(max_length=100, unique=True)
    name = models.CharField(max_length=200, blank=True)
    location = models.CharField(max_length=200, blank=True)
    interval_seconds = models.PositiveIntegerField(
        default=QUARTER_HOUR, help_text="How long an interval is when a reading tells only its end."
    )
    registered_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = models.Manager.from_queryset(MeterQuerySet)()

    class Meta:
        indexes = [GinIndex(PLACE_WORDS, name="meter_words")]
        constraints = [
            models.CheckConstraint(name="meter_serial_given", condition=~Q(serial="")),
            models.CheckConstraint(
                name="meter_interval_is_sensible",
                condition=Q(interval_seconds__gte=1, interval_seconds__lte=86_400),
                violation_error_message="An interval lasts from 1 second to 1 day.",
            ),
        ]

    def __str__(self) -> str:
        return self.serial

    @property
    def interval(self) -> timedelta:
        """How long an interval of this meter is."""
        return timedelta(seconds=self.interval_seconds)


class MeterAssignment(models.Model):
    """Who holds a meter from when to when; assignments of one meter never overlap.

    PostgreSQL could say so by an exclusion constraint only with an extension that the embedded
    server lacks, so ``intake.assign_meter`` says it under a lock on the meter.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    meter = models.ForeignKey(
        Meter, on_delete=models.PROTECT, related_name="assignments", db_index=False
    )
    owner = models.ForeignKey(Owner, on_delete=models.PROTECT, related_name="assignments")
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="assignment_ends_after_start",
                condition=Q(ends_at=None) | Q(ends_at__gt=F("starts_at")),
                violation_error_message="An assignment must end after it starts.",
            ),
            models.UniqueConstraint(
                name="assignment_one_open_per_meter",
                fields=["meter"],
                condition=Q(ends_at=None),
                violation_error_message="This meter is assigned already.",
            ),
            # Also the index that finds a meter's assignments.
            models.UniqueConstraint(name="assignment_one_per_start", fields=["meter", "starts_at"]),
        ]

    def __str__(self) -> str:
        until = f"{self.ends_at:%Y-%m-%d}" if self.ends_at else "now"
        return f"{self.meter} held by {self.owner}, {self.starts_at:%Y-%m-%d} to {until}"
