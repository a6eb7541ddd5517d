"""What the page of one import shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from readings.formats import Format
from readings.imports import earlier
from readings.imports.progress import seen
from readings.imports.report import SHOWN
from readings.models import ImportFile
from readings.models.import_file import OPEN, ImportKind, ImportStatus
from readings.rules import reason_of

COLOURS = {
    ImportStatus.WAITING: "info",
    ImportStatus.CHECKED: "warning",
    ImportStatus.CONFIRMED: "primary",
    ImportStatus.APPLIED: "success",
    ImportStatus.REFUSED: "danger",
    ImportStatus.DISCARDED: "",
}
WORDS = {
    ImportStatus.WAITING: "Being read",
    ImportStatus.CHECKED: "To be decided",
    ImportStatus.CONFIRMED: "Being imported",
    ImportStatus.APPLIED: "Imported",
    ImportStatus.REFUSED: "Not readable",
    ImportStatus.DISCARDED: "Discarded",
}

FIGURES = (
    ("rows", "Rows"),
    ("new", "New"),
    ("held_sum", "Of these held"),
    ("duplicates", "Known already"),
    ("conflicts", "Other values"),
    ("corrected", "Corrected"),
    ("invalid", "Not to be taken"),
    ("owners", "New owners"),
    ("wallets", "New wallets"),
    ("waiting_wallets", "Wallets that wait"),
    ("meters", "New meters"),
    ("assignments", "New holders"),
    ("changed", "Changed values"),
    ("released", "Readings judged again"),
)
ALWAYS = frozenset({"rows", "new", "duplicates", "invalid"})


def badge(status: str, *, asks: bool = False) -> SafeString:
    """A status as a coloured word; a file that only asks something is not a bad one."""
    known = ImportStatus(status)
    if asks and known is ImportStatus.REFUSED:
        shown = {"text": "A question", "type": "warning"}
    else:
        shown = {"text": WORDS[known], "type": COLOURS[known]}
    return render_to_string("unfold/helpers/label.html", shown)


def moment(at: datetime | None) -> str:
    """To the minute, UTC."""
    return "" if at is None else f"{at:%Y-%m-%d %H:%M} UTC"


def size(number: int) -> str:
    """Of a file."""
    return f"{number / 1_000_000:,.1f} MB" if number >= 100_000 else f"{number:,} bytes"


def format_words(name: str) -> str:
    """What people call a format."""
    return Format(name).label if name in set(Format) else name


def story(imported: ImportFile) -> dict[str, Any]:
    """Everything but the forms."""
    same = earlier(imported)
    progress = seen(imported.id) if imported.status in OPEN else None
    return {
        "badge": badge(imported.status, asks=bool(imported.needs)),
        "facts": facts(imported),
        "refreshes": imported.status in OPEN,
        "progress": progress,
        "rows_so_far": f"{progress.rows:,}" if progress else "",
        "figures": figures(imported.report),
        "held": held_rows(imported),
        "problems": finding_rows(
            ["Line", "Whose", "What", "Why"],
            imported.report.get("problems", []),
            ("subject", "what", "detail"),
        ),
        "problems_title": titled("Rows that cannot be taken", imported.report, "problems"),
        "changes": finding_rows(
            ["Line", "Whose", "What", "Stored", "In the file", ""],
            imported.report.get("changes", []),
            ("subject", "what", "old", "new", "detail"),
        ),
        "changes_title": titled(
            "Stored with other values" if imported.kind == ImportKind.READINGS else "What changes",
            imported.report,
            "changes",
        ),
        "notes": imported.report.get("notes", []),
        "same": same,
        "readings_url": readings_url(imported),
        "held_link": held_link(imported),
        "has_findings": imported.status in (ImportStatus.CHECKED, ImportStatus.APPLIED),
        "has_content": imported.status != ImportStatus.DISCARDED,
    }


def facts(imported: ImportFile) -> list[tuple[str, str]]:
    """Where it comes from."""
    decided = {name for name, value in imported.decision.items() if value}
    words = {"corrections": "other values become revisions", "skip_invalid": "wrong rows left out"}
    known = [
        ("Kind", imported.kind.capitalize()),
        ("Format", format_words(imported.format)),
        ("Size", size(imported.size)),
        ("SHA-256", imported.sha256),
        ("Brought", moment(imported.brought_at)),
        ("By", str(imported.brought_by or "the command line")),
        ("Read as", read_as(imported.options)),
        ("Decided by", str(imported.decided_by or "")),
        ("Decision", ", ".join(words[name] for name in words if name in decided)),
        ("Finished", moment(imported.finished_at)),
    ]
    return [(name, value) for name, value in known if value]


def figures(report: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Counts that say something."""
    counts = {**report, "held_sum": sum(report.get("held", {}).values())}
    return [
        (title, f"{counts.get(name, 0):,}")
        for name, title in FIGURES
        if counts.get(name) or (name in ALWAYS and name in counts)
    ]


def held_rows(imported: ImportFile) -> dict[str, Any]:
    """Causes, with the way to these readings once they are there."""
    rows = []
    for code, count in sorted(imported.report.get("held", {}).items(), key=lambda pair: -pair[1]):
        rows.append([f"{count:,}", reason_of(code)])
    return {"headers": ["Readings", "Held because"], "rows": rows}


def finding_rows(
    headers: Sequence[str], findings: Sequence[Mapping[str, Any]], names: Sequence[str]
) -> dict[str, Any]:
    """Rows of unfold's table."""
    return {
        "headers": list(headers),
        "rows": [[f"{each['line']:,}", *(each[name] for name in names)] for each in findings],
    }


def titled(title: str, report: Mapping[str, Any], shown: str) -> str:
    """A heading that says where the rest is, if only the first are shown."""
    if len(report.get(shown, [])) < SHOWN:
        return title
    return f"{title}: the first {SHOWN}; all are in the CSV below"


def readings_url(imported: ImportFile) -> str:
    """Its readings, in the list."""
    query = urlencode({"file": str(imported.id)})
    return f"{reverse('admin:readings_meterreading_changelist')}?{query}"


def held_link(imported: ImportFile) -> SafeString | str:
    """The way to what is held of a file that is imported."""
    if imported.status != ImportStatus.APPLIED:
        return ""
    return format_html(
        '<a class="text-link" href="{}&amp;status__exact=held">See and release them</a>',
        readings_url(imported),
    )


def read_as(options: Mapping[str, Any]) -> str:
    """What somebody said of the file."""
    words = []
    for name, value in options.items():
        if name == "mapping":
            words += [f"{column} → {field}" for column, field in value.items()]
        else:
            words.append(name.replace("_", " ") if value is True else f"{name}: {value}")
    return ", ".join(words).replace("_", " ")
