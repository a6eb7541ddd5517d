"""Screens that show or cause minting, one noun a file. The readings' too: they show their mint."""

from minting.admin import (
    batches,
    changes,
    dashboard,
    mints,
    readings,
    reconcile,
    results,
    selections,
    staff,
    stops,
    tokens,
    transactions,
)

__all__ = [
    "batches",
    "changes",
    "dashboard",
    "mints",
    "readings",
    "reconcile",
    "results",
    "selections",
    "staff",
    "stops",
    "tokens",
    "transactions",
]
