"""The way of a file from its bringing to its readings."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, BinaryIO, Protocol
from uuid import UUID

import structlog
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from readings.errors import AnswerNeeded, FileRefused
from readings.formats import Options
from readings.imports import content
from readings.imports.options import options_to_json
from readings.imports.progress import Tell, telling
from readings.imports.readings_file import take_readings
from readings.imports.registry_file import take_registry
from readings.imports.report import Decision, Findings, Report, decision_of, legible
from readings.models import ImportFile
from readings.models.import_file import OPEN, ImportKind, ImportStatus, PartKind

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser

log = structlog.get_logger(__name__)

MOST_ATTEMPTS = 3
"""Workers that may end while they have a file in hand, before a person is asked."""


class Taker(Protocol):
    """Takes all rows of a file, inside the caller's transaction."""

    def __call__(
        self,
        imported: ImportFile,
        file: BinaryIO,
        *,
        decision: Decision,
        trial: bool,
        report: Report,
        findings: Findings,
        tell: Tell,
    ) -> None:
        """Fills the report and the findings.

        Args:
            imported: The import.
            file: Its bytes.
            decision: What becomes of rows that cannot simply be taken.
            trial: Nothing stays: what nobody decided about yet is tried as if it were wanted.
            report: To be filled.
            findings: Likewise.
            tell: How far it is.
        """


TAKERS: dict[str, Taker] = {
    ImportKind.READINGS: take_readings,
    ImportKind.REGISTRY: take_registry,
}


def bring(
    file: BinaryIO,
    *,
    kind: ImportKind,
    name: str,
    options: Options,
    by: AbstractBaseUser | None = None,
) -> ImportFile:
    """Keeps a file, which then waits to be looked at.

    Raises:
        FileRefused: It is too large.
    """
    size, sha256 = content.measure(file)
    with transaction.atomic():
        imported = ImportFile.objects.create(
            kind=kind.value,
            name=legible(name[-255:]),
            size=size,
            sha256=sha256,
            options=options_to_json(options),
            brought_by_id=by.pk if by else None,
        )
        content.keep(imported, PartKind.CONTENT, file)
    return imported


def earlier(imported: ImportFile) -> ImportFile | None:
    """The newest file of the same bytes that was taken before."""
    same = ImportFile.objects.filter(
        sha256=imported.sha256, kind=imported.kind, status=ImportStatus.APPLIED.value
    )
    return same.exclude(id=imported.id).order_by("-finished_at").first()


def look(import_id: UUID) -> None:
    """What the file would do: the import itself, rolled back, so that nothing is guessed."""
    report = Report()
    with Findings(report) as findings:
        try:
            with telling(import_id) as tell, transaction.atomic():
                imported = _lock(import_id, ImportStatus.WAITING)
                if imported is None:
                    return
                with content.opened(imported) as file:
                    _taker(imported)(
                        imported,
                        file,
                        decision=Decision(),
                        trial=True,
                        report=report,
                        findings=findings,
                        tell=tell,
                    )
                transaction.set_rollback(True)
        except FileRefused as refusal:
            _refuse(import_id, ImportStatus.WAITING, refusal)
        else:
            _note(import_id, ImportStatus.WAITING, report, findings)


def reread(imported: ImportFile, options: Options) -> bool:
    """Has the file looked at again, read as these options say; no, if it is taken or discarded."""
    movable = [ImportStatus.CHECKED.value, ImportStatus.REFUSED.value, ImportStatus.WAITING.value]
    return bool(
        ImportFile.objects.filter(id=imported.id, status__in=movable).update(
            options=options_to_json(options),
            status=ImportStatus.WAITING.value,
            reason="",
            needs="",
            attempts=0,
            report={},
        )
    )


def confirm(imported: ImportFile, decision: Decision, *, by: AbstractBaseUser) -> bool:
    """A person wants it; no, if somebody was faster."""
    return bool(
        ImportFile.objects.filter(id=imported.id, status=ImportStatus.CHECKED.value).update(
            status=ImportStatus.CONFIRMED.value,
            decision=decision.to_json(),
            decided_by=by.pk,
            reason="",
            attempts=0,
        )
    )


def take(import_id: UUID) -> None:
    """Takes a confirmed file in one transaction: all of it, or nothing.

    Where rows are wrong that were not when it was looked at, nothing is taken, and it is for a
    person to look again.
    """
    report = Report()
    with Findings(report) as findings:
        try:
            with telling(import_id) as tell, transaction.atomic():
                imported = _lock(import_id, ImportStatus.CONFIRMED)
                if imported is None:
                    return
                decision = decision_of(imported.decision)
                with content.opened(imported) as file:
                    _taker(imported)(
                        imported,
                        file,
                        decision=decision,
                        trial=False,
                        report=report,
                        findings=findings,
                        tell=tell,
                    )
                taken = report.fits(decision)
                if taken:
                    _finish(imported, report, findings)
                else:
                    transaction.set_rollback(True)
        except FileRefused as refusal:
            _refuse(import_id, ImportStatus.CONFIRMED, refusal)
        else:
            if not taken:
                _note(import_id, ImportStatus.CONFIRMED, report, findings, reason=CHANGED)


CHANGED = (
    "Nothing was imported: since the file was looked at, something that it is about has changed. "
    "Look at what is left to decide."
)


def take_now(
    file: BinaryIO,
    *,
    kind: ImportKind,
    name: str,
    options: Options,
    decision: Decision,
    dry_run: bool,
    tell: Tell,
) -> tuple[ImportFile, Report, bool]:
    """Brings and takes a file in one transaction; where that cannot be, nothing is left of it.

    Returns:
        The import (stored only if it was taken), the report, and whether every row fits.

    Raises:
        FileRefused: It cannot be read.
    """
    report = Report()
    with Findings(report) as findings, transaction.atomic():
        imported = bring(file, kind=kind, name=name, options=options)
        imported.decision = decision.to_json()
        _taker(imported)(
            imported,
            file,
            decision=decision,
            trial=dry_run,
            report=report,
            findings=findings,
            tell=tell,
        )
        fits = report.fits(decision)
        if fits and not dry_run:
            _finish(imported, report, findings)
        else:
            transaction.set_rollback(True)
    return imported, report, fits


def discard(imported: ImportFile) -> bool:
    """A person does not want it: its bytes go, the row stays; no, if it is taken or under way."""
    movable = [ImportStatus.CHECKED.value, ImportStatus.REFUSED.value, ImportStatus.WAITING.value]
    with transaction.atomic():
        gone = ImportFile.objects.filter(id=imported.id, status__in=movable).update(
            status=ImportStatus.DISCARDED.value, finished_at=timezone.now()
        )
        if gone:
            content.drop(imported, PartKind.CONTENT)
    return bool(gone)


def work() -> int:
    """Goes on with every file that waits for nobody; returns how many."""
    waiting = ImportFile.objects.filter(status__in=[status.value for status in OPEN])
    done = 0
    for import_id, status in list(waiting.order_by("id").values_list("id", "status")):
        if _attempt(import_id, ImportStatus(status)):
            step: Callable[[UUID], None] = look if status == ImportStatus.WAITING else take
            step(import_id)
            done += 1
    return done


def _attempt(import_id: UUID, status: ImportStatus) -> bool:
    """Counts an attempt before it is made, so that a file which ends its workers is left alone."""
    own = ImportFile.objects.filter(id=import_id, status=status.value)
    with transaction.atomic():
        free = own.select_for_update(no_key=True, skip_locked=True).first()
        if free is None:
            return False
        own.update(attempts=F("attempts") + 1)
    if free.attempts < MOST_ATTEMPTS:
        return True
    log.error("import_given_up", import_id=str(import_id), attempts=free.attempts)
    _refuse(import_id, status, FileRefused(f"{MOST_ATTEMPTS} workers ended while they were at it"))
    return False


def _lock(import_id: UUID, status: ImportStatus) -> ImportFile | None:
    """The file, this transaction's alone, if it stands so and nobody else is at it."""
    rows = ImportFile.objects.select_for_update(no_key=True, skip_locked=True, of=("self",))
    found: ImportFile | None = rows.filter(id=import_id, status=status.value).first()
    return found


def _taker(imported: ImportFile) -> Taker:
    return TAKERS[imported.kind]


def _finish(imported: ImportFile, report: Report, findings: Findings) -> None:
    content.keep(imported, PartKind.FINDINGS, findings.file)
    imported.format = report.format
    imported.report = report.to_json()
    imported.status = ImportStatus.APPLIED.value
    imported.reason = ""
    imported.finished_at = timezone.now()
    imported.save()


def _note(
    import_id: UUID, stood: ImportStatus, report: Report, findings: Findings, *, reason: str = ""
) -> None:
    with transaction.atomic():
        own = ImportFile.objects.filter(id=import_id, status=stood.value)
        noted = own.update(
            status=ImportStatus.CHECKED.value,
            format=report.format,
            report=report.to_json(),
            reason=reason,
        )
        if noted:
            content.keep(ImportFile(id=import_id), PartKind.FINDINGS, findings.file)


def _refuse(import_id: UUID, stood: ImportStatus, refusal: FileRefused) -> None:
    ImportFile.objects.filter(id=import_id, status=stood.value).update(
        status=ImportStatus.REFUSED.value,
        reason=str(refusal),
        needs=refusal.option if isinstance(refusal, AnswerNeeded) else "",
    )
