"""The change log's entries for what is written in bulk, which django-auditlog does not see."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from auditlog.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db import connection
from django.db.models import Model
from django.utils import timezone

from readings.intake.registered import Change
from readings.models import ImportFile

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser

# By COPY: as rows of Django they take longer than all that they tell of.
_COPY = """
COPY auditlog_logentry (
    content_type_id, object_pk, object_repr, action, changes,
    actor_id, additional_data, timestamp, changes_text
) FROM STDIN
"""
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
    common = (by.pk if by else None, json.dumps(told), timezone.now(), "")
    with connection.cursor() as cursor, cursor.copy(_COPY) as copy:
        for (model, pk), own in by_row.items():
            values = {each.field: [each.old or "None", each.new] for each in own}
            copy.write_row(
                (
                    types[model].pk,
                    str(pk),
                    str(own[0].row),
                    ACTIONS[own[0].is_new],
                    json.dumps(values),
                    *common,
                )
            )
