"""Ids that go from one statement to the next without becoming ten thousand objects between."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from django.db.models import UUIDField
from django.db.models.expressions import RawSQL

from readings.queries import UuidArray

__all__ = ["UuidArray", "joined", "one_of", "uuid_array"]


def uuid_array(ids: Iterable[UUID]) -> UuidArray:
    """As ``array_agg(id)::text`` writes them."""
    return UuidArray("{" + ",".join(map(str, ids)) + "}")


def joined(arrays: Iterable[UuidArray]) -> UuidArray:
    """One array of several, none of them empty."""
    return UuidArray("{" + ",".join(array[1:-1] for array in arrays) + "}")


def one_of(ids: UuidArray) -> RawSQL:
    """For ``id__in``."""
    return RawSQL("SELECT unnest(%s::uuid[])", [ids], output_field=UUIDField())
