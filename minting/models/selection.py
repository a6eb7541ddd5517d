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
    size = models.PositiveIntegerField(default=0, help_text="Readings taken.")
    left_out = models.JSONField(
        default=dict, blank=True, help_text="Readings that matched and were not taken, by status."
    )

    def __str__(self) -> str:
        return f"selection of {self.created_by or 'a command'} at {self.created_at:%Y-%m-%d %H:%M}"


class MintSelectionItem(models.Model):
    """One reading of a selection, and how it stood then.

    A million of them are inserted while somebody waits: one index, and no key that is looked up for
    each. Readings are never deleted, and Django deletes the items of a selection.
    """

    pk = models.CompositePrimaryKey("selection_id", "reading_id")
    selection = models.ForeignKey(
        MintSelection,
        on_delete=models.CASCADE,
        related_name="items",
        db_index=False,
        db_constraint=False,
    )
    reading = models.ForeignKey(
        "readings.MeterReading",
        on_delete=models.DO_NOTHING,
        related_name="+",
        db_index=False,
        db_constraint=False,
    )
    status = models.CharField(max_length=10, help_text="When it was selected.")

    def __str__(self) -> str:
        return str(self.reading_id)
