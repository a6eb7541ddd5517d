"""``manage.py import_registry``: owners, wallets and meters, all of a file or nothing."""

from __future__ import annotations

from typing import ClassVar

from readings.formats import Format
from readings.formats.registry import NAMES
from readings.imports import Report
from readings.management.importing import ImportCommand
from readings.models.import_file import ImportKind


class Command(ImportCommand):
    help = (
        "Registers the owners, wallets and meters of a table (CSV or XLSX, one meter a line) in "
        "one transaction. What is left empty stays as it is; --dry-run shows what would change."
    )
    kind = ImportKind.REGISTRY
    formats = (Format.CSV, Format.XLSX)
    fields = tuple(NAMES)
    answers: ClassVar = {"mapping": "--map COLUMN=FIELD"}

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
