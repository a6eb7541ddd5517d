"""What a registration of many did, and what its next part must know of that."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from uuid import UUID

from django.db.models import Model

from readings.errors import ReadingError
from readings.formats.registry import Entry
from readings.models import Meter, Owner

RETIRED = "retired_at"
"""Of a wallet that another one follows: logged, but the new one's address says the same."""


@dataclass(frozen=True, slots=True)
class Change:
    """One value of one row, before and after."""

    line: int
    row: Model
    field: str
    old: str
    """Empty where there was none."""
    new: str
    is_new: bool
    """The row itself is."""
    is_of_new: bool
    """So is what it hangs on: nothing that was there before is different now."""


@dataclass(slots=True)
class Registered:
    """What a registration did."""

    changes: list[Change] = field(default_factory=list)
    problems: list[tuple[Entry, ReadingError]] = field(default_factory=list)
    rejudged: int = 0


@dataclass(slots=True)
class Earlier:
    """What is to be known of a file's earlier parts, when it is registered in parts."""

    named_again: Collection[int] = ()
    """Hashes of the owners' ids and meters' serials that more than one part names; of the others
    nothing is kept."""
    told: dict[tuple[str, str, str], tuple[int, object]] = field(default_factory=dict)
    """What was told of an owner or a meter, and in which line."""
    made: set[UUID] = field(default_factory=set)
    """Owners and meters that the file brought."""

    def keep(self, new: Iterable[Owner | Meter]) -> None:
        """Ends a part, which made these."""
        named = self.named_again
        self.told = {place: told for place, told in self.told.items() if hash(place[1]) in named}
        self.made |= {row.id for row in new if hash(_key(row)) in named}


def _key(row: Owner | Meter) -> str:
    return row.user_id if isinstance(row, Owner) else row.serial
