"""The change log's entries for what is written in bulk, which django-auditlog does not see."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from auditlog.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db.models import Model

from readings.intake.registering import Change
from readings.models import ImportFile

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser

AT_ONCE = 2_000
ACTIONS = {True: LogEntry.Action.CREATE, False: LogEntry.Action.UPDATE}


def log_changes(
    changes: Sequence[Change], *, by: AbstractBaseUser | None, imported: ImportFile
) -> None:
    """One entry a row: who, when, from what to what, and by which file."""
    by_row: dict[tuple[type[Model], Any], list[Change]] = defaultdict(list)
    for change in changes:
        by_row[type(change.row), change.row.pk].append(change)
    types = {model: ContentType.objects.get_for_model(model) for model, _ in by_row}
    told = {"import": str(imported.id), "file": imported.name}
    if by is not None:
        told["actor"] = by.get_username()
    LogEntry.objects.bulk_create(
        (
            LogEntry(
                content_type=types[model],
                object_pk=str(pk),
                object_repr=str(own[0].row),
                action=ACTIONS[own[0].is_new],
                changes={each.field: [each.old or "None", each.new] for each in own},
                actor=by,
                additional_data=told,
            )
            for (model, pk), own in by_row.items()
        ),
        batch_size=AT_ONCE,
    )
