"""The one way out to minting: what may be minted, for whom, and what became of it.

``lock_for_minting`` and ``walk_for_minting`` are how a batch begins; ``set_status`` is how
minting's journal tells what became of each reading. All take any number of ids in a constant number
of queries (``set_status``: of chunks), and none holds them all in memory.
"""

from readings.queries.asking import (
    ChangedWallet,
    count_wallets,
    pending,
    program_owned_wallets,
    readings_for_display,
    waiting_wallet_changes,
    wallets_changed,
)
from readings.queries.outcomes import (
    Alike,
    StatusChange,
    UuidArray,
    lock_for_minting,
    lock_retrying,
    set_alike,
    set_status,
)
from readings.queries.picking import Ids
from readings.queries.walking import (
    Excluded,
    FoundReadings,
    MintableRow,
    look_for_minting,
    walk_for_minting,
)

__all__ = [
    "Alike",
    "ChangedWallet",
    "Excluded",
    "FoundReadings",
    "Ids",
    "MintableRow",
    "StatusChange",
    "UuidArray",
    "count_wallets",
    "lock_for_minting",
    "lock_retrying",
    "look_for_minting",
    "pending",
    "program_owned_wallets",
    "readings_for_display",
    "set_alike",
    "set_status",
    "waiting_wallet_changes",
    "walk_for_minting",
    "wallets_changed",
]
