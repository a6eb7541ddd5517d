"""The one way in: every change to a reading or to the registry that is not minting's.

============== ==========================================================================
``submit``     one reading: created, or the one that we have; raises what is wrong
``submit_many`` any number: an outcome for each, in order, and nothing raised
``correct``    a new revision: replaces before minting, records the difference after
``correct_many`` any number: what is current then, or why not, for each, and nothing raised
``release``    a person takes responsibility for what is held
``rejudge``    asks the rules again after a cause of holding changed
``rejudge_limits`` lets go what a raised limit no longer holds
``register_owner`` / ``register_meter``  a new one, by the name that stays
``register_wallet`` / ``retire_wallet``  an owner's address, never edited in place
``approve_wallet_change`` / ``refuse_wallet_change``  a second person's word about a new one
``withdraw_wallet_change`` / ``expire_wallet_changes``  it is taken back, or nobody decided in time
``assign_meter`` / ``unassign_meter``  who holds a meter from when on, or that nobody does
``forget_owner``  what is personal of an owner goes for good; the books stay
============== ==========================================================================

Locks are taken in one order, so that no two of these wait for each other: meters, owners,
wallet changes, readings; several of a kind in the order of their ids.
"""

from readings.candidate import Submission
from readings.intake.correction import Correction, Retelling, correct, correct_many
from readings.intake.forgetting import Forgotten, forget_owner, is_forgotten
from readings.intake.holding import ReleaseOutcome, rejudge, rejudge_limits, release
from readings.intake.registry import (
    assign_meter,
    register_meter,
    register_owner,
    register_wallet,
    retire_wallet,
    unassign_meter,
)
from readings.intake.submission import (
    Outcome,
    OutcomeStatus,
    Submitted,
    submit,
    submit_many,
)
from readings.intake.wallet_changes import (
    Asker,
    also_paid_at,
    approve_wallet_change,
    askers_of,
    digest_of,
    expire_wallet_changes,
    refuse_wallet_change,
    withdraw_wallet_change,
)
from readings.intake.wallets import check_wallet

__all__ = [
    "Asker",
    "Correction",
    "Forgotten",
    "Outcome",
    "OutcomeStatus",
    "ReleaseOutcome",
    "Retelling",
    "Submission",
    "Submitted",
    "also_paid_at",
    "approve_wallet_change",
    "askers_of",
    "assign_meter",
    "check_wallet",
    "correct",
    "correct_many",
    "digest_of",
    "expire_wallet_changes",
    "forget_owner",
    "is_forgotten",
    "refuse_wallet_change",
    "register_meter",
    "register_owner",
    "register_wallet",
    "rejudge",
    "rejudge_limits",
    "release",
    "retire_wallet",
    "submit",
    "submit_many",
    "unassign_meter",
    "withdraw_wallet_change",
]
