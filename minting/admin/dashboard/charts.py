"""The dashboard's charts: a month, day by day; and the same in numbers, for who reads rather."""

from __future__ import annotations

import json
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from django.http import HttpRequest

from minting.admin import show
from minting.admin.tables import table
from minting.service.watch import figures
from minting.service.watch.figures import Day

GREY = "#9ca3af"
"""Legible on light and dark."""


PLAIN = {"notation": "standard", "maximumFractionDigits": show.LAMPORTS_PLACES}
"""A lamport is no 1E-9."""


def show_month(_request: HttpRequest) -> dict[str, Any]:
    """Two charts and a table of the same days."""
    days = figures.month()
    return {
        "charts": [minted_chart(days), spent_chart(days)] if any(map(_is_busy, days)) else [],
        "numbers": table(
            ["Day (UTC)", "Readings", "Tokens", "Failed", "Transactions", "Fees", "Rent"],
            [_numbers(day) for day in reversed(days) if _is_busy(day)],
        ),
    }


def minted_chart(days: Sequence[Day]) -> dict[str, Any]:
    """Readings minted and failed."""
    readings, failed = sum(day.readings for day in days), sum(day.failed for day in days)
    return {
        "title": "Minted and failed, readings a day",
        "label": f"{show.readings(readings)} minted and {failed:,} failed in {len(days)} days",
        "data": _data(
            days,
            ("Minted", "var(--color-primary-600)", [day.readings for day in days]),
            ("Failed", "#ef4444", [day.failed for day in days]),
        ),
        "options": _options("readings"),
    }


def spent_chart(days: Sequence[Day]) -> dict[str, Any]:
    """Fees and rent."""
    fees, rent = sum(day.fees for day in days), sum(day.rent for day in days)
    return {
        "title": "Paid, SOL a day",
        "label": f"Fees {show.sol(fees)}, rent {show.sol(rent)} in {len(days)} days",
        "data": _data(
            days,
            ("Fees", "var(--color-primary-600)", [_sol(day.fees) for day in days]),
            ("Rent", "#f59e0b", [_sol(day.rent) for day in days]),
        ),
        "options": _options("SOL"),
    }


def _is_busy(day: Day) -> bool:
    return bool(day.readings or day.failed or day.spent)


def _sol(lamports: int) -> str:
    """Exact, as text; the browser draws it."""
    return str(Decimal(lamports).scaleb(-show.LAMPORTS_PLACES))


def _data(days: Sequence[Day], *rows: tuple[str, str, list[Any]]) -> str:
    return json.dumps(
        {
            "labels": [f"{day.day:%d %b}" for day in days],
            "datasets": [
                {"label": label, "backgroundColor": colour, "data": values}
                for label, colour, values in rows
            ],
        }
    )


def _options(unit: str) -> str:
    """Of Chart.js; unfold colours the grid."""
    ticks = {"color": GREY}
    return json.dumps(
        {
            "animation": False,
            "responsive": True,
            "maintainAspectRatio": False,
            "maxBarThickness": 14,
            "interaction": {"mode": "index", "intersect": False},
            "plugins": {
                "legend": {
                    "align": "end",
                    "labels": {"boxWidth": 8, "boxHeight": 8, "color": GREY},
                },
            },
            "scales": {
                "x": {
                    "stacked": True,
                    "border": {"display": False},
                    "grid": {"display": False},
                    "ticks": {**ticks, "maxTicksLimit": 8, "maxRotation": 0},
                },
                "y": {
                    "stacked": True,
                    "beginAtZero": True,
                    "border": {"display": False},
                    "grid": {},
                    "ticks": {**ticks, "maxTicksLimit": 5, "format": PLAIN},
                    "title": {"display": True, "text": unit, "color": GREY},
                },
            },
        }
    )


def _numbers(day: Day) -> list[Any]:
    return [
        f"{day.day:%Y-%m-%d}",
        f"{day.readings:,}",
        show.tokens(day.base_units),
        f"{day.failed:,}",
        f"{day.transactions:,}",
        show.sol(day.fees),
        show.sol(day.rent),
    ]
