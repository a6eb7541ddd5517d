"""``manage.py import_readings``: a file of readings, whole or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

from django.core.management.base import CommandParser

from readings.candidate import LONGEST_INTERVAL
from readings.formats import Exported, Format, Options
from readings.formats.columns import FIELDS
from readings.imports import Decision, Report
from readings.management.importing import ImportCommand
from readings.models.import_file import ImportKind


class Command(ImportCommand):
    help = (
        "Imports the readings of a file in one transaction, and keeps the file with them. Repeats "
        "of what is stored are recognised; rows that cannot be taken, or tell other values for "
        "what is stored, keep the whole file out unless an option says what becomes of them."
    )
    kind = ImportKind.READINGS
    formats = tuple(Format)
    fields = tuple(FIELDS)
    answers: ClassVar = {
        "meter": "--meter SERIAL",
        "interval": "--interval SECONDS",
        "exported": "--exported surplus or --exported generated",
        "mapping": "--map COLUMN=FIELD",
    }

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--corrections",
            action="store_true",
            help="add other values for what is stored as revisions",
        )
        parser.add_argument(
            "--meter", default="", metavar="SERIAL", help="where the file names none"
        )
        parser.add_argument(
            "--interval",
            type=int,
            choices=range(1, LONGEST_INTERVAL + 1),
            metavar="SECONDS",
            help="how long a period is that is told by one time",
        )
        parser.add_argument(
            "--exported",
            choices=list(Exported),
            help="what counts where only generation and consumption are told",
        )
        parser.add_argument("--decimal-comma", action="store_true", help="1,5 is one and a half")

    def options(self, said: Mapping[str, Any]) -> Options:
        return replace(
            super().options(said),
            meter=said["meter"],
            interval_seconds=said["interval"],
            exported=Exported(said["exported"]) if said["exported"] else None,
            decimal_comma=said["decimal_comma"],
        )

    def decision(self, said: Mapping[str, Any]) -> Decision:
        return replace(super().decision(said), corrections=said["corrections"])

    def sentence(self, report: Report) -> str:
        held = ", ".join(f"{number:,} {code}" for code, number in report.held.most_common())
        counts = report.counts
        return (
            f"{counts['rows']:,} rows: {counts['new']:,} new ({held or '0'} held, "
            f"{counts['not_minted']:,} without export), {counts['duplicates']:,} duplicates, "
            f"{counts['corrected']:,} corrected, {counts['conflicts']:,} with other values, "
            f"{counts['invalid']:,} invalid"
        )

    def refusal(self, report: Report) -> str:
        ways = []
        if report.counts["conflicts"]:
            ways.append("--corrections adds other values as revisions")
        ways.append("--skip-invalid leaves such rows out")
        return f"Nothing is imported: correct the file and bring it again ({'; '.join(ways)})"
