"""The registry's pages: owners, wallets, meters and who holds them.

Readings have their pages in ``minting.admin``, because they show minting.
"""

from readings.admin.imports import ImportFileAdmin
from readings.admin.meters import MeterAdmin, MeterAssignmentAdmin
from readings.admin.owners import OwnerAdmin
from readings.admin.wallets import WalletAdmin

__all__ = ["ImportFileAdmin", "MeterAdmin", "MeterAssignmentAdmin", "OwnerAdmin", "WalletAdmin"]
