"""A file of owners, wallets and meters, registered in bulk inside the caller's transaction."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import BinaryIO

from django.db.models import Model

from readings.formats.detect import detect
from readings.formats.registry import BadEntry, Entry, read_registry
from readings.imports.change_log import log_changes
from readings.imports.locking import lock_registry
from readings.imports.options import options_of
from readings.imports.progress import Tell
from readings.imports.report import Decision, Finding, Findings, Report
from readings.intake.registered import RETIRED, Change, Earlier, Registered
from readings.intake.registering import register_many
from readings.intake.wallet_changes import Asker
from readings.models import ImportFile, Meter, MeterAssignment, Owner, Wallet, WalletChange
from readings.second_person import ChangeWay

COUNTED: dict[type[Model], str] = {
    Owner: "owners",
    Wallet: "wallets",
    WalletChange: "waiting_wallets",
    Meter: "meters",
    MeterAssignment: "assignments",
}

COUNTS = ("rows", "invalid", *COUNTED.values(), "changed", "released", "duplicates")

CHUNK = 2_000
"""Lines that are registered together: what a file takes in memory does not grow with it."""


def take_registry(
    imported: ImportFile,
    file: BinaryIO,
    *,
    decision: Decision,  # noqa: ARG001 - all lines are alike: to be taken, or wrong
    trial: bool,  # noqa: ARG001 - so there is nothing to try
    report: Report,
    findings: Findings,
    tell: Tell,
) -> None:
    """Registers every line, and logs what changed; whether it stays is the caller's.

    Raises:
        FileRefused: The file cannot be read to its end.
    """
    options = options_of(imported.options)
    report.format = str(options.format or detect(file))
    report.counts.update(dict.fromkeys(COUNTS, 0))
    lines, named_again = lock_registry(read_registry(file, options), at_once=CHUNK)
    earlier = Earlier(named_again)
    rows = read_registry(file, options)
    while chunk := list(islice(rows, CHUNK)):
        _take(chunk, earlier, imported=imported, report=report, findings=findings)
        tell(report.counts["rows"], 100 * report.counts["rows"] // lines)


def _take(
    lines: Sequence[Entry | BadEntry],
    earlier: Earlier,
    *,
    imported: ImportFile,
    report: Report,
    findings: Findings,
) -> None:
    """A part of the file."""
    entries = list(_good(lines, report, findings))
    by = imported.decided_by or imported.brought_by
    done = register_many(entries, Asker(by, ChangeWay.IMPORT, imported), earlier)
    shown = [change for change in done.changes if change.field != RETIRED]
    _count(report, done, entries, shown)
    for entry, error in done.problems:
        whose = entry.serial or entry.user_id
        findings.add(Finding(entry.line, "invalid", error.code, whose, detail=str(error)))
    for change in shown:
        findings.add(_finding(change))
    log_changes(done.changes, by=by, imported=imported)


def _good(lines: Iterable[Entry | BadEntry], report: Report, findings: Findings) -> Iterator[Entry]:
    for line in lines:
        report.counts["rows"] += 1
        if isinstance(line, Entry):
            yield line
        else:
            report.counts["invalid"] += 1
            findings.add(Finding(line.line, "invalid", line.error.code, detail=str(line.error)))


def _count(
    report: Report, done: Registered, entries: Sequence[Entry], changes: Sequence[Change]
) -> None:
    report.counts["invalid"] += len(done.problems)
    new = {(type(each.row), each.row.pk) for each in changes if each.is_new}
    for model, name in COUNTED.items():
        report.counts[name] += sum(kind is model for kind, _ in new)
    report.counts["changed"] += sum(not (each.is_new or each.is_of_new) for each in changes)
    report.counts["released"] += done.rejudged
    touched = {each.line for each in changes}
    wrong = {entry.line for entry, _ in done.problems}
    report.counts["duplicates"] += sum(each.line not in touched | wrong for each in entries)


WAITS = "waits for a second person"


def _finding(change: Change) -> Finding:
    if change.is_new and isinstance(change.row, WalletChange):
        return Finding(
            change.line,
            "waits",
            subject=_whose(change.row),
            what="wallet address",
            old=change.old,
            new=change.new,
            detail=WAITS,
        )
    return Finding(
        change.line,
        "new" if change.is_of_new else "changed",
        subject=_whose(change.row),
        what=f"{change.row._meta.verbose_name} {change.field}".replace("_", " "),
        old=change.old,
        new=change.new,
    )


def _whose(row: Model) -> str:
    match row:
        case Owner():
            return row.user_id
        case Wallet() | WalletChange():
            return row.owner.user_id
        case Meter():
            return row.serial
        case MeterAssignment():
            return row.meter.serial
        case _:
            raise AssertionError(row)
