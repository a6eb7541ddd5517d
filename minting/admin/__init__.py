"""Screens that show or cause minting, one noun a file. The readings' too: they show their mint."""

from minting.admin import (
    approvals,
    batches,
    calls,
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
    webhook_deliveries,
    webhook_endpoints,
)

__all__ = [
    "approvals",
    "batches",
    "calls",
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
    "webhook_deliveries",
    "webhook_endpoints",
]
