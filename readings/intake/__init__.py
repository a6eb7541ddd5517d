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
``assign_meter`` / ``unassign_meter``  who holds a meter from when on, or that nobody does
============== ==========================================================================

Locks are taken in one order, so that no two of these wait for each other: meters, owners,
readings; several of a kind in the order of their ids.
"""

from readings.candidate import Submission
from readings.intake.correction import Correction, Retelling, correct, correct_many
from readings.intake.holding import ReleaseOutcome, rejudge, rejudge_limits, release
from readings.intake.registry import (
    assign_meter,
    check_wallet,
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

__all__ = [
    "Correction",
    "Outcome",
    "OutcomeStatus",
    "ReleaseOutcome",
    "Retelling",
    "Submission",
    "Submitted",
    "assign_meter",
    "check_wallet",
    "correct",
    "correct_many",
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
]
