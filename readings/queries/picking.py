"""Which readings are meant, as SQL."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import QuerySet

Ids = Sequence[UUID] | QuerySet[Any, Any]
"""Ids of readings: named by a caller, or a query of this one column, which then never leave the
database."""


def picked_sql(ids: Ids) -> tuple[str, Sequence[Any]]:
    """SQL that selects the ids, and its parameters."""
    if isinstance(ids, QuerySet):
        return ids.order_by().query.sql_with_params()
    return "SELECT unnest(%s::uuid[])", [list(ids)]


def require_transaction() -> None:
    """Refuses where a lock would be gone with its statement.

    Raises:
        RuntimeError: No transaction is open.
    """
    if not connection.in_atomic_block:
        raise RuntimeError("Readings are locked and written inside transaction.atomic() only")
