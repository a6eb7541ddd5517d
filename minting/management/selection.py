"""``--pending`` or ``--reading``: which readings a command is about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.core.management.base import CommandError, CommandParser

from minting.service.requests.prepare import MATCHING, NAMED
from readings import queries
from readings.queries import Ids
from readings.rules import ReadingStatus


@dataclass(frozen=True, slots=True)
class Selection:
    """Readings, and how strictly they are taken."""

    ids: Ids
    strict: bool
    """Whether they were named one by one."""
    allowed: frozenset[ReadingStatus]


def add_selection(parser: CommandParser) -> None:
    """The two options; one of them has to be given."""
    parser.add_argument("--pending", action="store_true", help="all readings that are pending")
    parser.add_argument(
        "--reading",
        action="append",
        type=UUID,
        default=[],
        metavar="UUID",
        help="this reading; may be given several times",
    )


def selected(options: Mapping[str, Any]) -> Selection:
    """The readings that the options name.

    Raises:
        CommandError: none of the two options is given, or both.
    """
    if bool(options["pending"]) == bool(options["reading"]):
        raise CommandError("Give either --pending or --reading UUID (once or several times)")
    if options["pending"]:
        return Selection(queries.pending().values("pk"), strict=False, allowed=MATCHING)
    return Selection(options["reading"], strict=True, allowed=NAMED)
