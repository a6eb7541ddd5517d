"""Screens that show or cause minting, one noun a file. The readings' too: they show their mint."""

from minting.admin import mints, polling, stops
from minting.admin.access import calls, changes, logins, staff, tokens
from minting.admin.audit import reconcile, results, transactions
from minting.admin.batches import pages as batches
from minting.admin.dashboard import pages as dashboard
from minting.admin.inbox import approvals, wallets
from minting.admin.readings import pages as readings
from minting.admin.readings import selections
from minting.admin.webhooks import deliveries as webhook_deliveries
from minting.admin.webhooks import endpoints as webhook_endpoints

__all__ = [
    "approvals",
    "batches",
    "calls",
    "changes",
    "dashboard",
    "logins",
    "mints",
    "polling",
    "readings",
    "reconcile",
    "results",
    "selections",
    "staff",
    "stops",
    "tokens",
    "transactions",
    "wallets",
    "webhook_deliveries",
    "webhook_endpoints",
]
