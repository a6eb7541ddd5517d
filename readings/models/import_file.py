"""Files that were brought, with their bytes and what became of them."""

from __future__ import annotations

from enum import StrEnum

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone
from uuid_utils.compat import uuid7


class ImportKind(StrEnum):
    """What a file tells."""

    READINGS = "readings"
    REGISTRY = "registry"


class ImportStatus(StrEnum):
    """Where a file stands."""

    WAITING = "waiting"
    """Kept; nobody has looked at it yet."""
    CHECKED = "checked"
    """What it would do is known; a person decides."""
    CONFIRMED = "confirmed"
    """A person wants it; it is about to be taken."""
    APPLIED = "applied"
    """Taken whole, or as far as the person said."""
    REFUSED = "refused"
    """It cannot be read; ``reason`` says why."""
    DISCARDED = "discarded"
    """A person did not want it."""


OPEN = (ImportStatus.WAITING, ImportStatus.CONFIRMED)
"""Statuses in which something is to be done without anybody asking again."""


class ImportFile(models.Model):
    """One file that somebody brought.

    ``options`` are ``formats.Options`` and ``decision`` what the person wants done with rows that
    cannot simply be taken; ``report`` counts what it does, and tells the first of what is wrong or
    changes. Everything is in ``parts``.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    kind = models.CharField(max_length=10)
    name = models.CharField(max_length=255)
    size = models.PositiveBigIntegerField()
    sha256 = models.CharField(max_length=64)
    format = models.CharField(max_length=20, blank=True)
    options = models.JSONField(default=dict)
    decision = models.JSONField(default=dict)

    brought_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        related_name="+",
        null=True,
        blank=True,
        help_text="Nobody: from the command line.",
    )
    brought_at = models.DateTimeField(default=timezone.now)
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True, blank=True
    )
    finished_at = models.DateTimeField(null=True, blank=True)

    status = models.CharField(max_length=10, default=ImportStatus.WAITING.value)
    reason = models.TextField(blank=True)
    needs = models.CharField(max_length=20, blank=True)
    """What a person must say before the file can be read."""
    attempts = models.PositiveSmallIntegerField(default=0)
    report = models.JSONField(default=dict)

    class Meta:
        verbose_name = "import"
        permissions = [("import_readings", "Can import files of readings")]
        constraints = [
            models.CheckConstraint(
                name="import_status_known",
                condition=Q(status__in=[status.value for status in ImportStatus]),
            ),
            models.CheckConstraint(
                name="import_kind_known", condition=Q(kind__in=[kind.value for kind in ImportKind])
            ),
            models.CheckConstraint(
                name="import_refused_with_reason",
                condition=~Q(status=ImportStatus.REFUSED.value) | ~Q(reason=""),
            ),
        ]
        indexes = [
            models.Index(fields=["sha256"], name="import_by_sha256"),
            models.Index(
                fields=["id"],
                name="import_open",
                condition=Q(status__in=[status.value for status in OPEN]),
            ),
        ]

    def __str__(self) -> str:
        return self.name


class PartKind(StrEnum):
    """What a part is a part of."""

    CONTENT = "content"
    """The file, as it came."""
    FINDINGS = "findings"
    """A CSV of what is wrong with its rows, and of what they change."""


class ImportPart(models.Model):
    """A megabyte of a file: in the database, so that web and workers of any machine have it."""

    file = models.ForeignKey(
        ImportFile, on_delete=models.CASCADE, related_name="parts", db_index=False
    )
    kind = models.CharField(max_length=10)
    number = models.PositiveIntegerField()
    data = models.BinaryField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["file", "kind", "number"], name="import_part_once")
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.number}"
