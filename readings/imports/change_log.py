"""The change log's entries for what is written in bulk, which django-auditlog does not see."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from django.apps import apps
from django.contrib.contenttypes.models import ContentType
from django.db.models import Model

from readings.intake.registering import Change
from readings.models import ImportFile

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser

AT_ONCE = 2_000
CREATED, UPDATED = 0, 1
"""As ``auditlog.models.LogEntry.Action``."""


def log_changes(
    changes: Sequence[Change], *, by: AbstractBaseUser | None, imported: ImportFile
) -> None:
    """One entry a row: who, when, from what to what, and by which file."""
    if not apps.is_installed("auditlog"):
        return
    entries: Any = apps.get_app_config("auditlog").get_model("LogEntry")
    by_row: dict[tuple[type[Model], Any], list[Change]] = defaultdict(list)
    for change in changes:
        by_row[type(change.row), change.row.pk].append(change)
    types = {model: ContentType.objects.get_for_model(model) for model, _ in by_row}
    told = {"import": str(imported.id), "file": imported.name}
    if by is not None:
        told["actor"] = by.get_username()
    entries.objects.bulk_create(
        (
            entries(
                content_type=types[model],
                object_pk=str(pk),
                object_repr=str(own[0].row),
                action=CREATED if own[0].is_new else UPDATED,
                changes={each.field: [each.old or "None", each.new] for each in own},
                actor=by,
                additional_data=told,
            )
            for (model, pk), own in by_row.items()
        ),
        batch_size=AT_ONCE,
    )
