"""What the two import commands share: a file, a dry run, one document on stdout."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from django.core.management.base import BaseCommand, CommandError, CommandParser

from readings.errors import AnswerNeeded, FileRefused
from readings.formats import DateOrder, Format, Options
from readings.formats.columns import SKIP
from readings.imports import Decision, Report, earlier, take_now
from readings.models import ImportFile
from readings.models.import_file import ImportKind

TELL_EVERY = 1.0
"""Seconds between two lines of progress."""


class ImportCommand(BaseCommand):
    """Brings one file in place, and exits 1 unless it was taken, or would be."""

    kind: ImportKind
    formats: ClassVar[Sequence[str]]
    fields: ClassVar[Sequence[str]]
    """What a column may tell."""
    answers: ClassVar[dict[str, str]]
    """What a file may not say → the option that does."""

    def add_arguments(self, parser: CommandParser) -> None:
        """What both take."""
        parser.add_argument("file", type=Path, metavar="FILE")
        parser.add_argument(
            "--format", choices=["auto", *self.formats], default="auto", help="default: by content"
        )
        parser.add_argument(
            "--map",
            action="append",
            default=[],
            metavar="COLUMN=FIELD",
            help=f"what a column tells: {', '.join((*self.fields, SKIP))}",
        )
        parser.add_argument(
            "--timezone", default="UTC", metavar="ZONE", help="of times without an offset"
        )
        parser.add_argument(
            "--dates", choices=list(DateOrder), default=DateOrder.ISO, help="order in dates"
        )
        parser.add_argument("--sheet", default="", metavar="NAME", help="of a workbook")
        parser.add_argument(
            "--dry-run", action="store_true", help="tell what the file would do, and change nothing"
        )
        parser.add_argument("--json", action="store_true", help="answer as one JSON document")
        parser.add_argument(
            "--skip-invalid",
            action="store_true",
            help="leave out the rows that cannot be taken, and take the others; without it one "
            "such row keeps the whole file out",
        )

    def handle(self, *_args: Any, **said: Any) -> None:
        """All of it: look, take, tell.

        Raises:
            CommandError: The file cannot be read, or has rows that nobody decided about.
        """
        path: Path = said["file"]
        try:
            with path.open("rb") as file:
                imported, report, fits = take_now(
                    file,
                    kind=self.kind,
                    name=path.name,
                    options=self.options(said),
                    decision=self.decision(said),
                    dry_run=said["dry_run"],
                    tell=self._progress(),
                )
        except OSError as error:
            raise CommandError(f"{path}: {error.strerror}") from error
        except AnswerNeeded as error:
            raise CommandError(f"{path}: {error} ({self.answers[error.option]})") from error
        except FileRefused as error:
            raise CommandError(f"{path}: {error}") from error
        taken = fits and not said["dry_run"]
        before = earlier(imported)
        if before is not None:
            self.say(f"The same file was imported at {before.finished_at:%Y-%m-%d %H:%M} UTC")
        if said["json"]:
            document = self.document(imported, report, taken=taken)
            document["already_imported"] = None if before is None else str(before.id)
            self.stdout.write(json.dumps(document, indent=2, ensure_ascii=False))
        else:
            end = "Imported." if taken else "Nothing is changed."
            self.stdout.write(f"{self.sentence(report)}. {end}")
        self._tell_findings(report)
        if not fits:
            raise CommandError(self.refusal(report))

    def options(self, said: Mapping[str, Any]) -> Options:
        """How the file is read."""
        return Options(
            format=None if said["format"] == "auto" else Format(said["format"]),
            mapping=pairs(said["map"]),
            timezone=said["timezone"],
            dates=DateOrder(said["dates"]),
            sheet=said["sheet"],
        )

    def decision(self, said: Mapping[str, Any]) -> Decision:
        """What becomes of rows that cannot simply be taken."""
        return Decision(skip_invalid=said["skip_invalid"])

    def document(self, imported: ImportFile, report: Report, *, taken: bool) -> dict[str, Any]:
        """For ``--json``."""
        return {
            "id": str(imported.id) if taken else None,
            "file": imported.name,
            "sha256": imported.sha256,
            "imported": taken,
            **report.to_json(),
        }

    def sentence(self, report: Report) -> str:
        """For people."""
        raise NotImplementedError

    def refusal(self, report: Report) -> str:
        """Why nothing was taken, and what to do."""
        raise NotImplementedError

    def say(self, text: str) -> None:
        """Progress and warnings."""
        self.stderr.write(text, self.style.HTTP_INFO)

    def _tell_findings(self, report: Report) -> None:
        for note in report.notes:
            self.say(note)
        for each in report.problems:
            where = " ".join(filter(None, (each.subject, each.what)))
            self.say(f"Line {each.line:,}: {f'{where}: ' if where else ''}{each.detail}")
        missing = report.counts["invalid"] - len(report.problems)
        if report.problems and missing > 0:
            self.say(f"… and {missing:,} more")
        for each in report.changes:
            more = f" ({each.detail})" if each.detail else ""
            self.say(
                f"Line {each.line:,}: {each.subject} {each.what}: {each.old} → {each.new}{more}"
            )

    def _progress(self) -> Any:
        told_at = time.monotonic()

        def tell(rows: int, percent: int) -> None:
            nonlocal told_at
            if time.monotonic() - told_at >= TELL_EVERY:
                told_at = time.monotonic()
                self.say(f"{rows:,} rows, {percent} %")

        return tell


def pairs(texts: list[str]) -> dict[str, str]:
    """``column=field`` of each ``--map``.

    Raises:
        CommandError: One is no such pair.
    """
    mapping: dict[str, str] = {}
    for text in texts:
        column, sign, field = text.rpartition("=")
        if not sign or not column or not field:
            raise CommandError(f"--map {text}: COLUMN=FIELD is expected")
        mapping[column] = field
    return mapping
