"""A file of readings, row by row through intake, inside the caller's transaction."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from itertools import islice
from typing import BinaryIO, cast
from uuid import UUID

from readings import formats
from readings.candidate import Submission, parse_values
from readings.errors import ReadingError, ToldTwice
from readings.formats import Row
from readings.imports.locking import lock_all
from readings.imports.options import options_of
from readings.imports.progress import Tell
from readings.imports.report import Decision, Finding, Findings, Report
from readings.intake import (
    Correction,
    Outcome,
    OutcomeStatus,
    Retelling,
    correct_many,
    submit_many,
)
from readings.models import ImportFile, MeterReading
from readings.periods import Values
from readings.rules import ReadingSource, ReadingStatus, same_values

CHUNK = 1_000

COUNTED = ("rows", "new", "duplicates", "conflicts", "corrected", "invalid", "not_minted")

TOLD_OTHERWISE = (
    "of the new readings lie over readings of the same meters whose periods were told in the other "
    "way (by both ends, or by their end alone). No rule compares the two: where both mean the same "
    "energy, it would be minted twice."
)


def take_readings(
    imported: ImportFile,
    file: BinaryIO,
    *,
    decision: Decision,
    trial: bool,
    report: Report,
    findings: Findings,
    tell: Tell,
) -> None:
    """Submits every row, and corrects where that is decided; whether it stays is the caller's.

    In a trial corrections are made as well, and counted as undecided, so that it is known which of
    them could not be.

    Raises:
        FileRefused: The file cannot be read to its end.
    """
    options = formats.with_format(options_of(imported.options), file)
    report.format = str(options.format)
    report.counts.update(dict.fromkeys(COUNTED, 0))
    lock_all(formats.read(file, options))
    clerk = _Clerk(imported, decision, report, findings, trial=trial)
    rows = formats.read(file, options)
    while chunk := list(islice(rows, CHUNK)):
        clerk.take(chunk)
        tell(report.counts["rows"], 100 * file.tell() // max(1, imported.size))
    report.notes += clerk.notes()


class _Clerk:
    def __init__(
        self,
        imported: ImportFile,
        decision: Decision,
        report: Report,
        findings: Findings,
        *,
        trial: bool,
    ) -> None:
        self._imported = imported
        self._by = imported.decided_by or imported.brought_by
        self._is_decided = decision.corrections
        self._corrects = decision.corrections or trial
        self._report = report
        self._findings = findings
        self._told_otherwise = 0

    def notes(self) -> list[str]:
        """What somebody should know before deciding, and no rule says."""
        if not self._told_otherwise:
            return []
        return [f"{self._told_otherwise:,} {TOLD_OTHERWISE}"]

    def take(self, rows: Sequence[Row]) -> None:
        outcomes = submit_many(
            [row.reading for row in rows],
            source=ReadingSource.FILE,
            submitted_by=self._by,
            import_file_id=self._imported.id,
        )
        settled = self._settle(rows, outcomes)
        for at, (row, outcome) in enumerate(zip(rows, outcomes, strict=True)):
            self._report.counts["rows"] += 1
            match outcome.status:
                case OutcomeStatus.CREATED:
                    self._created(row, outcome)
                case OutcomeStatus.DUPLICATE:
                    self._report.counts["duplicates"] += 1
                case OutcomeStatus.CONFLICT:
                    self._conflict(row, _stored(outcome), settled.get(at))
                case OutcomeStatus.INVALID:
                    self._invalid(row, outcome.code, outcome.detail)

    def _settle(
        self, rows: Sequence[Row], outcomes: Sequence[Outcome]
    ) -> dict[int, Correction | ReadingError]:
        """Rows that tell other values than are stored: corrections of them, if that is decided.

        Returns:
            By place, what became of each of them; of those that nobody decided about, nothing.
        """
        settled: dict[int, Correction | ReadingError] = {}
        told: dict[int, Retelling] = {}
        values: dict[UUID, Values] = {}
        for at, (row, outcome) in enumerate(zip(rows, outcomes, strict=True)):
            if outcome.status is not OutcomeStatus.CONFLICT:
                continue
            old, retelling = _stored(outcome), _retelling(row, outcome)
            own = parse_values(
                retelling.kwh_amount, retelling.energy_generated, retelling.energy_consumed
            )
            is_ours = old.import_file_id == self._imported.id
            if is_ours or not same_values(values.setdefault(old.id, own), own):
                settled[at] = ToldTwice()
            else:
                told[at] = retelling
        if self._corrects and told:
            corrected = correct_many(
                list(told.values()),
                reason=f"File {self._imported.name}",
                source=ReadingSource.FILE,
                submitted_by=self._by,
                import_file_id=self._imported.id,
            )
            settled |= zip(told, corrected, strict=True)
        return settled

    def _created(self, row: Row, outcome: Outcome) -> None:
        reading = _stored(outcome)
        self._report.counts["new"] += 1
        self._told_otherwise += outcome.told_otherwise
        if reading.status == ReadingStatus.HELD:
            self._report.held[reading.code] += 1
            self._add(row, "held", code=reading.code, detail=reading.reason)
        elif reading.status == ReadingStatus.NOT_MINTED:
            self._report.counts["not_minted"] += 1

    def _conflict(
        self, row: Row, old: MeterReading, settled: Correction | ReadingError | None
    ) -> None:
        if isinstance(settled, ReadingError):
            self._invalid(row, settled.code, str(settled))
            return
        if settled is not None and not settled.created:
            self._report.counts["duplicates"] += 1
            return
        self._report.counts["corrected" if self._is_decided else "conflicts"] += 1
        told = {"code": old.status, "old": _kwh(old.kwh_amount), "detail": old.reason}
        self._add(row, "corrected" if self._is_decided else "conflict", **told)

    def _invalid(self, row: Row, code: str, detail: str) -> None:
        self._report.counts["invalid"] += 1
        self._add(row, "invalid", code=code, detail=detail)

    def _add(self, row: Row, outcome: str, **told: str) -> None:
        reading = row.reading
        if isinstance(reading, Submission):
            told = {
                "subject": reading.meter_serial[:100],
                "what": _period(reading.period_start, reading.period_end),
                "new": _kwh(reading.kwh_amount),
            } | told
        self._findings.add(Finding(row.line, outcome, **told))


def _stored(outcome: Outcome) -> MeterReading:
    if outcome.reading is None:
        raise AssertionError("What is stored has a reading")
    return outcome.reading


def _retelling(row: Row, outcome: Outcome) -> Retelling:
    told = cast("Submission", row.reading)  # what could not be read conflicts with nothing
    return Retelling(
        reading_id=_stored(outcome).id,
        kwh_amount=told.kwh_amount,
        energy_generated=told.energy_generated,
        energy_consumed=told.energy_consumed,
        verification=told.verification,
    )


def _period(start: object, end: object) -> str:
    return " to ".join(
        f"{each:%Y-%m-%d %H:%M:%S}" if isinstance(each, datetime) else str(each)[:40]
        for each in (start, end)
        if each is not None
    )


def _kwh(value: object) -> str:
    return f"{value.normalize():f}"[:40] if isinstance(value, Decimal) else str(value)[:40]
