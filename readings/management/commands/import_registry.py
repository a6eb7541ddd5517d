"""``manage.py import_registry``: owners, wallets and meters, all of a file or nothing."""

from __future__ import annotations

from typing import Any, ClassVar

from django.core.management.base import CommandParser

from readings.formats import DateOrder, Format, Options
from readings.formats.columns import SKIP
from readings.formats.registry import NAMES
from readings.imports import Decision, Report
from readings.management.importing import ImportCommand, pairs
from readings.models.import_file import ImportKind


class Command(ImportCommand):
    help = (
        "Registers the owners, wallets and meters of a table (CSV or XLSX, one meter a line) in "
        "one transaction. What is left empty stays as it is; --dry-run shows what would change."
    )
    kind = ImportKind.REGISTRY
    answers: ClassVar = {"mapping": "--map COLUMN=FIELD"}

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--format",
            choices=["auto", Format.CSV.value, Format.XLSX.value],
            default="auto",
            help="default: by content",
        )
        parser.add_argument(
            "--map",
            action="append",
            default=[],
            metavar="COLUMN=FIELD",
            help=f"what a column tells: {', '.join((*NAMES, SKIP))}",
        )
        parser.add_argument(
            "--timezone", default="UTC", metavar="ZONE", help="of times without an offset"
        )
        parser.add_argument(
            "--dates", choices=list(DateOrder), default=DateOrder.ISO, help="order in dates"
        )
        parser.add_argument("--sheet", default="", metavar="NAME", help="of a workbook")

    def handle(self, *_args: Any, **said: Any) -> None:
        options = Options(
            format=None if said["format"] == "auto" else Format(said["format"]),
            mapping=pairs(said["map"]),
            timezone=said["timezone"],
            dates=DateOrder(said["dates"]),
            sheet=said["sheet"],
        )
        decision = Decision(skip_invalid=said["skip_invalid"])
        self.bring(said["file"], options, decision, dry_run=said["dry_run"], json=said["json"])

    def sentence(self, report: Report) -> str:
        counts = report.counts
        return (
            f"{counts['rows']:,} lines: {counts['owners']:,} new owners, "
            f"{counts['wallets']:,} new wallets, "
            f"{counts['waiting_wallets']:,} wallets that wait for a second person, "
            f"{counts['meters']:,} new meters, "
            f"{counts['assignments']:,} new holders, {counts['changed']:,} changed values, "
            f"{counts['duplicates']:,} lines as they were, {counts['invalid']:,} invalid; "
            f"{counts['released']:,} readings judged otherwise"
        )

    def refusal(self, report: Report) -> str:
        return (
            "Nothing is registered: correct the file and bring it again "
            "(--skip-invalid leaves such lines out)"
        )
