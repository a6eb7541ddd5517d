"""Values as people read them: units beside numbers, zones behind times. Exact: no floats."""

from __future__ import annotations

import json
from datetime import timedelta
from decimal import Decimal
from functools import cache
from typing import Any

from django.contrib import admin
from django.db.models import Model
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from minting.conf import current
from readings.admin.copying import short, shortened
from readings.admin.times import time, times
from readings.moments import period, utc

__all__ = [
    "badge",
    "duration",
    "kwh",
    "lamports",
    "link",
    "period",
    "pretty_json",
    "readings",
    "row_link",
    "short",
    "shortened",
    "sol",
    "time",
    "times",
    "tokens",
    "unbroken",
    "utc",
]

LAMPORTS_PLACES = 9
"""A lamport is 10⁻⁹ SOL."""

COLOURS = {
    "pending": "info",
    "queued": "info",
    "awaiting_approval": "info",
    "running": "primary",
    "minting": "primary",
    "signed": "primary",
    "sent": "primary",
    "retrying": "warning",
    "in_doubt": "warning",
    "held": "warning",
    "partially_succeeded": "warning",
    "minted": "success",
    "succeeded": "success",
    "confirmed": "success",
    "finalized": "success",
    "delivered": "success",
    "failed": "danger",
    "clean": "success",
    "differences": "danger",
    "open": "danger",
}
"""Of statuses; those that are not here are over without anybody having to act, and are grey."""


@cache
def badge(status: str, text: str = "") -> SafeString:
    """A status as a coloured word."""
    words = text or status.replace("_", " ")
    return render_to_string(
        "unfold/helpers/label.html", {"text": words, "type": COLOURS.get(status, "")}
    )


def kwh(amount: Decimal | None) -> str:
    """``0.25 kWh``."""
    return "" if amount is None else f"{_trimmed(amount)} kWh"


def places(amount: Decimal) -> int:
    """How many digits count behind the point."""
    return len(_trimmed(amount).partition(".")[2])


def tokens(base_units: int | Decimal) -> str:
    """Base units in the token's shown form, with all the places that count."""
    return f"{_scaled(base_units, current().decimals)} tokens"


def lamports(amount: int | None) -> str:
    """``5,000 lamports``."""
    return "" if amount is None else f"{amount:,} lamports"


def sol(amount: int | None) -> str:
    """Lamports as SOL."""
    return "" if amount is None else f"{_scaled(amount, LAMPORTS_PLACES)} SOL"


def duration(span: timedelta) -> str:
    """``12 s``, ``5 min``, ``3 h 20 min``, ``2 days``: as exactly as one cares."""
    seconds = max(int(span.total_seconds()), 0)
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86_400
    if days:
        return f"{days:,} day{'' if days == 1 else 's'}"
    if hours:
        return f"{hours} h {minutes % 60} min"
    return f"{minutes} min" if minutes else f"{seconds} s"


def readings(count: int) -> str:
    """``1 reading``, ``2,000 readings``."""
    return f"{count:,} reading{'' if count == 1 else 's'}"


def unbroken(text: str) -> SafeString:
    """Text that stays on one line of a table."""
    return format_html('<span class="whitespace-nowrap">{}</span>', text)


def link(url: str, text: str, *, title: str = "") -> SafeString:
    """A link that looks like one."""
    return format_html('<a href="{}" title="{}" class="text-link">{}</a>', url, title, text)


def row_link(row: Model | None, text: str = "", *, title: str = "") -> SafeString | str:
    """A link to a row's page, or its words where there is no page for it."""
    if row is None:
        return ""
    words = text or str(row)
    if not admin.site.is_registered(type(row)):
        return words
    name = f"admin:{row._meta.app_label}_{row._meta.model_name}_change"
    return link(reverse(name, args=[row.pk]), words, title=title)


def pretty_json(value: Any) -> SafeString | str:
    """A document, indented."""
    if value is None:
        return ""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    return format_html('<pre class="overflow-x-auto text-xs">{}</pre>', text)


def _scaled(units: int | Decimal, places: int) -> str:
    return _trimmed(Decimal(units).scaleb(-places))


def _trimmed(amount: Decimal) -> str:
    text = f"{amount:,f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
