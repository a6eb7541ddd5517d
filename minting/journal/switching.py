"""A switch that people throw and release, free of races with those whom it holds up."""

from __future__ import annotations

from typing import Any, Generic, TypeVar
from uuid import UUID

from django.db import connection
from django.db.models import Model
from django.db.models.functions import Now

Row = TypeVar("Row", bound=Model)

# The second conflicts with the row that is inserted, and not with itself: who throws the switch
# waits for those who hold it, and whoever comes to hold it later sees it thrown.
_ALONE = "SHARE ROW EXCLUSIVE"
_SHARE = "SHARE"


class Switch(Generic[Row]):
    """A table of which one row at most *stands*: has no ``resumed_at``. Its writers lock it."""

    def __init__(self, model: type[Row]) -> None:
        self._model = model
        self._rows = model._default_manager

    def standing(self) -> Row | None:
        """The row that stands, if any; only ``hold`` keeps it so."""
        return self._rows.filter(resumed_at__isnull=True).first()

    def hold(self) -> Row | None:
        """The same; where none stands, none will until the caller's transaction ends."""
        self._lock(_SHARE)
        return self.standing()

    def throw(self, **columns: Any) -> tuple[Row, bool]:
        """The row that stands from the caller's commit on, and whether it is a new one."""
        self._lock(_ALONE)
        standing = self.standing()
        return (standing, False) if standing else (self._rows.create(**columns), True)

    def release(self, *, by: str, only: UUID | None = None) -> Row | None:
        """Ends the row that stands, if it is ``only``, and returns it; else ``None``."""
        self._lock(_ALONE)
        row = self.standing()
        if row is None or only not in (None, row.pk):
            return None
        self._rows.filter(pk=row.pk).update(resumed_by=by, resumed_at=Now())
        row.refresh_from_db()
        return row

    def _lock(self, mode: str) -> None:
        with connection.cursor() as cursor:
            cursor.execute(f"LOCK TABLE {self._model._meta.db_table} IN {mode} MODE")
