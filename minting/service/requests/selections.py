"""What a person selected: frozen by one statement, carried by one id."""

from __future__ import annotations

import time
from collections.abc import Collection
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.core.exceptions import EmptyResultSet
from django.db import connection, transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from minting.models import Errand, MintSelection, MintSelectionItem
from readings.rules import ReadingStatus

KEPT = timedelta(days=1)
"""For so long a selection waits for its button; then the person who made it has moved on."""

KEPT_BEHIND_A_BATCH = timedelta(days=30)
"""For so long the readings of a selection stay after its batch ended; its results stay for ever."""

ROWS_AT_ONCE = 5_000
"""Items that one statement forgets."""

PASS = 45.0
"""Seconds after which forgetting stops; the next pass goes on where it did."""

# Sorted, so that the one index grows at its end; DISTINCT: a search may name a reading twice.
_FREEZE = """
WITH picked (id, status) AS MATERIALIZED ({picked}),
taken AS (
    INSERT INTO minting_mintselectionitem (selection_id, reading_id, status)
    SELECT DISTINCT ON (id) %s::uuid, id, status FROM picked WHERE status = ANY(%s)
    RETURNING 1
)
SELECT '' AS status, count(*) FROM taken
UNION ALL
SELECT status, count(*) FROM picked WHERE status <> ALL(%s) GROUP BY status
"""

_FORGET_ITEMS = """
DELETE FROM minting_mintselectionitem WHERE ctid = ANY(ARRAY(
    SELECT ctid FROM minting_mintselectionitem WHERE selection_id = %s LIMIT %s
))
"""


@transaction.atomic
def freeze(
    readings: QuerySet[Any],
    user: Any | None,
    *,
    taking: Collection[ReadingStatus] = frozenset(ReadingStatus),
) -> MintSelection:
    """Keeps which readings these are now, however many: no id leaves the database.

    Args:
        readings: Any queryset of readings, unsliced; its order and what it fetches do not matter.
        user: Who selected, and nobody else may use the selection; ``None`` for a command.
        taking: Statuses that are of use; what stands otherwise is only counted (``left_out``).
    """
    selection = MintSelection.objects.create(created_by=user)
    plain = readings.order_by().select_related(None).values_list("pk", "status")
    statuses = sorted(status.value for status in taking)
    try:
        picked, params = plain.query.sql_with_params()
    except EmptyResultSet:
        return selection
    with connection.cursor() as cursor:
        cursor.execute(_FREEZE.format(picked=picked), [*params, selection.id, statuses, statuses])
        counts: dict[str, int] = dict(cursor.fetchall())
    selection.size = counts.pop("")
    selection.left_out = counts
    selection.save(update_fields=["size", "left_out"])
    return selection


def picked(selection: MintSelection) -> QuerySet[Any, Any]:
    """The ids of a selection's readings, to be asked for where they are."""
    return selection.items.values("reading_id")


def ids_of(
    selection: MintSelection, *, after: UUID | None = None, limit: int | None = None
) -> list[UUID]:
    """Readings of a selection in the order of their ids: all at once, or the next so many."""
    items = selection.items.order_by("reading_id")
    if after is not None:
        items = items.filter(reading_id__gt=after)
    return list(items.values_list("reading_id", flat=True)[:limit])


def forget_old() -> int:
    """Forgets what nobody confirmed in ``KEPT``, and which readings an old batch came from.

    Returns:
        Readings of selections that were forgotten.
    """
    end = time.monotonic() + PASS
    now = timezone.now()
    in_use = Errand.objects.filter(selection=OuterRef("pk"), asked_at__gte=now - KEPT)
    abandoned = MintSelection.objects.filter(~Exists(in_use), batch=None, created_at__lt=now - KEPT)
    used = MintSelection.objects.filter(
        Exists(MintSelectionItem.objects.filter(selection=OuterRef("pk"))),
        batch__finished_at__lt=now - KEPT_BEHIND_A_BATCH,
    )
    forgotten = 0
    for selection in MintSelection.objects.filter(
        Q(pk__in=abandoned.values("pk")) | Q(pk__in=used.values("pk"))
    ):
        forgotten += _forget_items(selection, end)
        if time.monotonic() > end:
            break
    # Without items that is cheap; a batch that came meanwhile protects its selection.
    with_items = MintSelectionItem.objects.filter(selection=OuterRef("pk"))
    abandoned.filter(~Exists(with_items)).delete()
    return forgotten


def _forget_items(selection: MintSelection, end: float) -> int:
    forgotten = 0
    with connection.cursor() as cursor:
        while time.monotonic() < end:
            cursor.execute(_FORGET_ITEMS, [selection.id, ROWS_AT_ONCE])
            forgotten += cursor.rowcount
            if cursor.rowcount < ROWS_AT_ONCE:
                break
    return forgotten
