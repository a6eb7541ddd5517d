"""The only writer of states, and the record that is there before the wire is touched.

Every function is one named step. It runs inside a database transaction that its caller opened
(``atomic_phase`` asserts it), moves rows by compare-and-set only along the table in
``minting.engine.states``, and keeps what hangs together together: a result, its reading's stored
status, the batch's counters, the slice, the batch's end.

========================  ==========================================================
``opening.open_batch``    readings → results, slices, batch
``claims``                who works on which slice, under a fence
``parking``               what workers die of waits, with its reason
``signing``               I2, I3: transactions and the results they pay
``settling``              what the chain said: landed, failed, vanished, dead, in doubt
``results``               the one place where a result changes its status
``cancelling``            what is not signed yet can be taken back
``approving``             what a second person has to approve, and what that word is bound to
``retrying``              failures that wait for their retry
``switching``             what the next two have in common: a switch without races
``stopping``              nothing new is signed while minting is stopped
``pausing``               the poller makes no batch while it is paused
``reconciling``           what comparing with the chain found, and how far it came
``adopting``              what the chain remembers and a restored database does not
``gate``                  whether anything may be signed
``repeating``             what a request came to that may be sent again
``telling``               what other systems are to be told of all this
========================  ==========================================================
"""

from minting.journal.adopting import Adoption, CannotAdoptError, Payee, record_adopted
from minting.journal.approving import (
    approve,
    ask_approval,
    asked_lately,
    expire_approvals,
    refuse_approval,
    withdraw_approval,
)
from minting.journal.cancelling import cancel_unsigned
from minting.journal.claims import Claim, claim_slices, hand_back, renew_claims
from minting.journal.gate import (
    Identity,
    close_gate,
    gate_is_closed,
    open_gate,
    pass_gate,
    read_gate,
    uncheck_gate,
)
from minting.journal.opening import NewResult, open_batch, record_excluded
from minting.journal.parking import release_of_the_dead
from minting.journal.pausing import (
    current_pause,
    hold_unpaused,
    pause_polling,
    resume_polling,
)
from minting.journal.reconciling import (
    Progress,
    acknowledge,
    acknowledged_signatures,
    begin_run,
    fail_run,
    finish_run,
    move_cursor,
    of_mint,
    open_findings,
    overlooked,
    record_audit,
    record_findings,
    store_page,
    supply_ceiling,
    unexplained,
)
from minting.journal.repeating import KeyedRequest, forget_requests, keep_answer, keep_batch
from minting.journal.results import Refusal, refuse_results
from minting.journal.retrying import Waiting, give_up_retries, hold_waiting, take_waiting
from minting.journal.settling import (
    Expiry,
    Landing,
    OnChainError,
    record_doubt,
    record_error_seen,
    record_expired,
    record_failed,
    record_landed,
    record_vanished,
)
from minting.journal.signing import Balance, LostClaimError, Signing, record_sent, record_signed
from minting.journal.stopping import (
    DAILY_LIMIT,
    current_stop,
    refuse_while_stopped,
    resume_minting,
    stop_minting,
)

__all__ = [
    "DAILY_LIMIT",
    "Adoption",
    "Balance",
    "CannotAdoptError",
    "Claim",
    "Expiry",
    "Identity",
    "KeyedRequest",
    "Landing",
    "LostClaimError",
    "NewResult",
    "OnChainError",
    "Payee",
    "Progress",
    "Refusal",
    "Signing",
    "Waiting",
    "acknowledge",
    "acknowledged_signatures",
    "approve",
    "ask_approval",
    "asked_lately",
    "begin_run",
    "cancel_unsigned",
    "claim_slices",
    "close_gate",
    "current_pause",
    "current_stop",
    "expire_approvals",
    "fail_run",
    "finish_run",
    "forget_requests",
    "gate_is_closed",
    "give_up_retries",
    "hand_back",
    "hold_unpaused",
    "hold_waiting",
    "keep_answer",
    "keep_batch",
    "move_cursor",
    "of_mint",
    "open_batch",
    "open_findings",
    "open_gate",
    "overlooked",
    "pass_gate",
    "pause_polling",
    "read_gate",
    "record_adopted",
    "record_audit",
    "record_doubt",
    "record_error_seen",
    "record_excluded",
    "record_expired",
    "record_failed",
    "record_findings",
    "record_landed",
    "record_sent",
    "record_signed",
    "record_vanished",
    "refuse_approval",
    "refuse_results",
    "refuse_while_stopped",
    "release_of_the_dead",
    "renew_claims",
    "resume_minting",
    "resume_polling",
    "stop_minting",
    "store_page",
    "supply_ceiling",
    "take_waiting",
    "uncheck_gate",
    "unexplained",
    "withdraw_approval",
]
