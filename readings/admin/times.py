"""Moments as pages show them: in the reader's own zone, with UTC under the mouse.

The element carries the moment; ``minting/static/minting/times.js`` writes its text in the browser's
zone. Without it the text stays as it is here, in UTC, and says so.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django.db.models import Model
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.decorators import display

from readings.moments import period, utc

Column = Any
"""A function of a row; Django's stubs know the names of columns only."""


def time(moment: datetime | None) -> SafeString | str:
    """A moment, to the second."""
    if moment is None:
        return ""
    text = utc(moment)
    return format_html('<time datetime="{}" title="{}">{}</time>', _iso(moment), text, text)


def times(start: datetime, end: datetime) -> SafeString:
    """From when to when, to the minute."""
    text = period(start, end)
    return format_html(
        '<time datetime="{}" data-until="{}" title="{}">{}</time>',
        _iso(start),
        _iso(end),
        text,
        text,
    )


def column(field: str, description: str, *, ordering: str | None = None, never: str = "") -> Column:
    """A moment's column of a list, or its line on a page.

    Args:
        field: The row's attribute.
        description: The column's name.
        ordering: What sorts it, if an index does.
        never: Shown where there is no such moment.
    """

    @display(description=description, ordering=ordering)
    def shown(row: Model) -> SafeString | str:
        return time(getattr(row, field)) or never

    return shown


def _iso(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
