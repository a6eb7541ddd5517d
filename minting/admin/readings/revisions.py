"""The revisions of a reading: told one below the other, and an old one beside a new one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.utils.html import format_html
from django.utils.safestring import SafeString

from minting.admin import show, tables
from minting.admin.readings.worth import earns
from minting.models import MintResult
from readings.intake import History, history_of
from readings.models import MeterReading
from readings.rules import ReadingStatus

MINUS = "\N{MINUS SIGN}"
Amount = Callable[[MeterReading], Decimal | None]

ENERGIES: Sequence[tuple[str, Amount]] = (
    ("Exported", lambda one: one.kwh_amount),
    ("Generated", lambda one: one.energy_generated),
    ("Consumed", lambda one: one.energy_consumed),
)


def revisions_of(reading_id: str) -> dict[str, Any]:
    """A table of them and a link to the current one; nothing where there is one alone."""
    history = history_of(UUID(reading_id))
    if history is None or len(history.revisions) == 1:
        return {}
    return {
        "rows": _rows(history, UUID(reading_id)),
        "current": show.row_link(history.current, f"revision {history.current.revision}"),
    }


def comparison(history: History, corrected: MeterReading) -> dict[str, Any]:
    """Old and new, side by side, in kWh and tokens; the difference is to what was minted."""
    current, minted = history.current, history.minted
    columns: dict[str, MeterReading] = {"Minted": minted} if minted else {}
    if current is not minted:
        columns["Now"] = current
    columns["Corrected"] = corrected
    old = minted or current
    lines = [
        [
            name,
            *(show.kwh(amount(one)) for one in columns.values()),
            _kwh_more(amount, old, corrected),
        ]
        for name, amount in ENERGIES
        if any(amount(one) is not None for one in columns.values())
    ]
    worth = [_tokens_of(one) for one in columns.values()]
    more = _tokens_of(corrected) - _tokens_of(old)
    lines.insert(1, ["Tokens", *map(show.tokens, worth), _signed(more, show.tokens(abs(more)))])
    difference = "Difference to minted" if minted else "Difference"
    return tables.table(["What", *columns, difference], lines)


def _rows(history: History, shown: UUID) -> dict[str, Any]:
    """The newest first."""
    columns: dict[str, Callable[[MeterReading], Any]] = {
        "Revision": lambda one: _name(one, shown),
        "Exported": lambda one: show.unbroken(show.kwh(one.kwh_amount)),
        "Status": lambda one: show.badge(one.status, one.get_status_display()),
        "Why": lambda one: one.reason or one.code.replace("_", " "),
    }
    if any(one.correction_difference is not None for one in history.revisions):
        columns["Difference"] = lambda one: show.unbroken(_difference(one.correction_difference))
    columns |= {"Submitted": _submitted, "Corrected because": lambda one: one.correction_reason}
    newest_first = reversed(history.revisions)
    return tables.table(
        list(columns), [[cell(one) for cell in columns.values()] for one in newest_first]
    )


def _name(one: MeterReading, shown: UUID) -> SafeString | str:
    words = f"{one.revision}, current" if one.is_current else f"{one.revision}"
    if one.id == shown:
        return format_html(
            '<span aria-current="page" class="whitespace-nowrap">{} (this page)</span>', words
        )
    return show.row_link(one, words)


def _submitted(one: MeterReading) -> SafeString | str:
    when = show.time(one.submitted_at)
    return format_html("{} by {}", when, one.submitted_by) if one.submitted_by else when


def _kwh_more(amount: Amount, old: MeterReading, new: MeterReading) -> str:
    before, after = amount(old), amount(new)
    return "" if before is None or after is None else _difference(after - before)


def _difference(kwh: Decimal | None) -> str:
    return "" if kwh is None else _signed(kwh, show.kwh(abs(kwh)))


def _signed(more: Decimal | int, amount: str) -> str:
    sign = "" if not more else "+" if more > 0 else MINUS
    return f"{sign}{amount}"


def _tokens_of(one: MeterReading) -> int:
    """What it was paid or, if it was not, would be worth now."""
    if one.status == ReadingStatus.MINTED and one.last_result_id is not None:
        paid = MintResult.objects.filter(pk=one.last_result_id).values_list("base_units", flat=True)
        if (units := paid.first()) is not None:
            return int(units)
    return earns(one.kwh_amount)
