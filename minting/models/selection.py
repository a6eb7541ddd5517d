"""What a person selected, frozen."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from uuid_utils.compat import uuid7


class MintSelection(models.Model):
    """Readings that a member of staff selected, frozen so that a page carries only this id.

    A selection of nobody is what a command took at one moment (``mint --pending``).
    100,000 selected readings are one ``INSERT … SELECT`` and one UUID in the address bar.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.CASCADE
    )
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return f"selection of {self.created_by or 'a command'} at {self.created_at:%Y-%m-%d %H:%M}"


class MintSelectionItem(models.Model):
    """One reading of a selection."""

    selection = models.ForeignKey(MintSelection, on_delete=models.CASCADE, related_name="items")
    reading = models.ForeignKey(
        "readings.MeterReading", on_delete=models.CASCADE, related_name="+", db_index=False
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["selection", "reading"], name="selected_once"),
        ]

    def __str__(self) -> str:
        return str(self.reading_id)
