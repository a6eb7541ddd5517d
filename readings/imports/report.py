"""What a file does, or would do: counts, the first of what is wrong, and a CSV of all of it."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from tempfile import SpooledTemporaryFile
from types import TracebackType
from typing import Any, Self

SHOWN = 50
"""Of problems and of changes, that a page and ``--json`` show."""

MOST_FINDINGS = 200_000
"""Lines of the CSV; what follows is counted only."""

IN_MEMORY = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Decision:
    """What becomes of rows that cannot simply be taken."""

    corrections: bool = False
    """Other values for a period that is stored: added as revisions."""
    skip_invalid: bool = False
    """The rest is taken without them."""

    def to_json(self) -> dict[str, Any]:
        """For storing."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Finding:
    """One line that is worth looking at."""

    line: int
    outcome: str
    """``invalid``, ``conflict``, ``corrected``, ``held``; in the registry ``new``, ``changed``,
    ``waits`` (for a second person)."""
    code: str = ""
    subject: str = ""
    """Whose it is: a meter's serial, an owner's id."""
    what: str = ""
    """A period, or a field."""
    old: str = ""
    new: str = ""
    detail: str = ""


COLUMNS = ("line", "outcome", "code", "subject", "what", "old", "new", "detail")
PROBLEM = frozenset({"invalid"})
CHANGE = frozenset({"conflict", "corrected", "changed", "waits"})
"""Of what is stored. What is new is counted, and stands in the CSV: it would hide the others."""


@dataclass(slots=True)
class Report:
    """Counts by outcome, and what is shown of them."""

    format: str = ""
    counts: Counter[str] = field(default_factory=Counter)
    held: Counter[str] = field(default_factory=Counter)
    """Of the new ones, by cause."""
    problems: list[Finding] = field(default_factory=list)
    changes: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def fits(self, decision: Decision) -> bool:
        """Whether every row is taken, or left out by somebody's decision."""
        return decision.skip_invalid or not (self.counts["invalid"] or self.counts["conflicts"])

    def to_json(self) -> dict[str, Any]:
        """For storing and for ``--json``."""
        return {
            "format": self.format,
            **self.counts,
            "held": dict(self.held),
            "problems": [asdict(each) for each in self.problems],
            "changes": [asdict(each) for each in self.changes],
            "notes": self.notes,
        }


class Findings:
    """Collects what is worth looking at: the first for the report, all for the CSV."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._number = 0
        self.file = SpooledTemporaryFile(max_size=IN_MEMORY)  # noqa: SIM115 - ours is the context
        self._write(COLUMNS)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.file.close()

    def add(self, finding: Finding) -> None:
        """One more; what its file has in place of text is made legible."""
        texts = {name: legible(getattr(finding, name)) for name in COLUMNS[1:]}
        finding = Finding(finding.line, **texts)
        for kinds, shown in (
            (PROBLEM, self._report.problems),
            (CHANGE, self._report.changes),
        ):
            if finding.outcome in kinds and len(shown) < SHOWN:
                shown.append(finding)
        self._number += 1
        if self._number <= MOST_FINDINGS:
            self._write([_harmless(getattr(finding, name)) for name in COLUMNS])
        elif self._number == MOST_FINDINGS + 1:
            self._write([f"There are more than {MOST_FINDINGS:,}: these are counted only"])

    def _write(self, cells: Sequence[object]) -> None:
        text = io.StringIO()
        csv.writer(text).writerow(cells)
        self.file.write(text.getvalue().encode())


def legible(text: str) -> str:
    """Without what PostgreSQL stores in no text: NULs and halves of surrogate pairs."""
    if text.isascii() and "\0" not in text:
        return text
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode()


def _harmless(value: object) -> object:
    """Text that a spreadsheet takes for text, not for a formula."""
    return f"'{value}" if isinstance(value, str) and value[:1] in tuple("=+-@\t\r") else value


def decision_of(stored: Mapping[str, Any]) -> Decision:
    """From ``to_json``."""
    return Decision(**stored)
