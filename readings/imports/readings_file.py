"""A file of readings, row by row through intake, inside the caller's transaction."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from itertools import islice
from typing import BinaryIO, cast

from readings import formats
from readings.candidate import Submission
from readings.errors import ReadingError
from readings.formats import Row
from readings.imports.locking import lock_all
from readings.imports.options import options_of
from readings.imports.progress import Tell
from readings.imports.report import Decision, Finding, Findings, Report
from readings.intake import Outcome, OutcomeStatus, correct, submit_many
from readings.models import ImportFile, MeterReading
from readings.rules import ReadingSource, ReadingStatus

CHUNK = 1_000

COUNTED = ("rows", "new", "duplicates", "conflicts", "corrected", "invalid", "not_minted")

TWICE = "The file tells this meter and period twice, with other values"


def take_readings(
    imported: ImportFile,
    file: BinaryIO,
    *,
    decision: Decision,
    report: Report,
    findings: Findings,
    tell: Tell,
) -> None:
    """Submits every row, and corrects where that is decided; whether it stays is the caller's.

    Raises:
        FileRefused: The file cannot be read to its end.
    """
    options = formats.with_format(options_of(imported.options), file)
    report.format = str(options.format)
    report.counts.update(dict.fromkeys(COUNTED, 0))
    lock_all(formats.read(file, options))
    clerk = _Clerk(imported, decision, report, findings)
    rows = formats.read(file, options)
    while chunk := list(islice(rows, CHUNK)):
        clerk.take(chunk)
        tell(report.counts["rows"], 100 * file.tell() // max(1, imported.size))


class _Clerk:
    def __init__(
        self, imported: ImportFile, decision: Decision, report: Report, findings: Findings
    ) -> None:
        self._imported = imported
        self._by = imported.decided_by or imported.brought_by
        self._decision = decision
        self._report = report
        self._findings = findings

    def take(self, rows: Sequence[Row]) -> None:
        outcomes = submit_many(
            [row.reading for row in rows],
            source=ReadingSource.FILE,
            submitted_by=self._by,
            import_file_id=self._imported.id,
        )
        self._lock_conflicts(outcomes)
        for row, outcome in zip(rows, outcomes, strict=True):
            self._report.counts["rows"] += 1
            match outcome.status:
                case OutcomeStatus.CREATED:
                    self._created(row, outcome)
                case OutcomeStatus.DUPLICATE:
                    self._report.counts["duplicates"] += 1
                case OutcomeStatus.CONFLICT:
                    self._conflict(row, outcome)
                case OutcomeStatus.INVALID:
                    self._invalid(row, outcome.code, outcome.detail)

    def _lock_conflicts(self, outcomes: Sequence[Outcome]) -> None:
        """What is about to be corrected, in the order in which everybody locks readings."""
        if not self._decision.corrections:
            return
        ids = [_stored(each).id for each in outcomes if each.status is OutcomeStatus.CONFLICT]
        if ids:
            locked = MeterReading.objects.select_for_update(no_key=True).filter(id__in=ids)
            list(locked.order_by("id").values_list("id"))

    def _created(self, row: Row, outcome: Outcome) -> None:
        reading = _stored(outcome)
        self._report.counts["new"] += 1
        if reading.status == ReadingStatus.HELD:
            self._report.held[reading.code] += 1
            self._add(row, "held", code=reading.code, detail=reading.reason)
        elif reading.status == ReadingStatus.NOT_MINTED:
            self._report.counts["not_minted"] += 1

    def _conflict(self, row: Row, outcome: Outcome) -> None:
        old = _stored(outcome)
        if old.import_file_id == self._imported.id:
            self._invalid(row, outcome.code, TWICE)
            return
        told = {"code": old.status, "old": _kwh(old.kwh_amount), "detail": old.reason}
        if not self._decision.corrections:
            self._report.counts["conflicts"] += 1
            self._add(row, "conflict", **told)
            return
        try:
            corrected = self._correct(row, old)
        except ReadingError as error:
            self._invalid(row, error.code, str(error))
            return
        self._report.counts["corrected" if corrected else "duplicates"] += 1
        if corrected:
            self._add(row, "corrected", **told)

    def _correct(self, row: Row, old: MeterReading) -> bool:
        told = cast("Submission", row.reading)  # what could not be read conflicts with nothing
        return correct(
            reading_id=old.id,
            kwh_amount=told.kwh_amount,
            energy_generated=told.energy_generated,
            energy_consumed=told.energy_consumed,
            reason=f"File {self._imported.name}",
            source=ReadingSource.FILE,
            verification=told.verification,
            submitted_by=self._by,
            import_file_id=self._imported.id,
        ).created

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


def _period(start: object, end: object) -> str:
    return " to ".join(
        f"{each:%Y-%m-%d %H:%M:%S}" if isinstance(each, datetime) else str(each)[:40]
        for each in (start, end)
        if each is not None
    )


def _kwh(value: object) -> str:
    return f"{value.normalize():f}"[:40] if isinstance(value, Decimal) else str(value)[:40]
