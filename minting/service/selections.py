"""What a person selected: frozen by one statement, carried by one id."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

from django.core.exceptions import EmptyResultSet
from django.db import connection, transaction
from django.db.models import QuerySet
from django.utils import timezone

from minting.models import MintSelection

KEPT = timedelta(days=1)
"""For so long a selection waits for its button; then the person who made it has moved on."""

# ON CONFLICT: a search that joins may name a reading twice.
_INSERT = """
INSERT INTO minting_mintselectionitem (selection_id, reading_id)
SELECT %s, picked.id FROM ({picked}) AS picked (id)
ON CONFLICT DO NOTHING
"""


@transaction.atomic
def freeze(readings: QuerySet[Any], user: Any | None) -> MintSelection:
    """Keeps which readings these are now, however many: no id leaves the database.

    Args:
        readings: Any queryset of readings, unsliced; its order and what it fetches do not matter.
        user: Who selected, and nobody else may use the selection; ``None`` for a command.
    """
    _forget_abandoned(user)
    selection = MintSelection.objects.create(created_by=user)
    try:
        picked, params = (
            readings.order_by().select_related(None).values("pk").query.sql_with_params()
        )
    except EmptyResultSet:
        return selection
    with connection.cursor() as cursor:
        cursor.execute(_INSERT.format(picked=picked), [selection.id, *params])
    return selection


def picked(selection: MintSelection) -> QuerySet[Any, Any]:
    """The ids of a selection's readings, to be asked for where they are."""
    return selection.items.values("reading_id")


def ids_of(selection: MintSelection) -> list[UUID]:
    """The readings of a selection, all at once."""
    return list(selection.items.values_list("reading_id", flat=True))


def _forget_abandoned(user: Any | None) -> None:
    MintSelection.objects.filter(
        created_by=user, batch=None, created_at__lt=timezone.now() - KEPT
    ).delete()
