"""Tables and constraints; no rules, no sending."""

from minting.models.answer import ChainAnswer, Question
from minting.models.approval import MintApproval
from minting.models.batch import BatchSource, MintBatch, MintSlice
from minting.models.digest import Digest
from minting.models.errand import Errand
from minting.models.idempotency import IdempotencyKey
from minting.models.mint import Landmark, MintInfo
from minting.models.polling import Polling, PollingPause
from minting.models.pulse import Pulse, PulseKind
from minting.models.reconcile import (
    MintingGate,
    ReconcileCursor,
    ReconcileFinding,
    ReconcileRun,
    RunStatus,
)
from minting.models.result import MintResult
from minting.models.selection import MintSelection, MintSelectionItem
from minting.models.stop import MintingStop
from minting.models.tally import Tally
from minting.models.transaction import MintTransaction
from minting.models.webhook import (
    WebhookAttempt,
    WebhookDelivery,
    WebhookEndpoint,
    WebhookEvent,
)

__all__ = [
    "BatchSource",
    "ChainAnswer",
    "Digest",
    "Errand",
    "IdempotencyKey",
    "Landmark",
    "MintApproval",
    "MintBatch",
    "MintInfo",
    "MintResult",
    "MintSelection",
    "MintSelectionItem",
    "MintSlice",
    "MintTransaction",
    "MintingGate",
    "MintingStop",
    "Polling",
    "PollingPause",
    "Pulse",
    "PulseKind",
    "Question",
    "ReconcileCursor",
    "ReconcileFinding",
    "ReconcileRun",
    "RunStatus",
    "Tally",
    "WebhookAttempt",
    "WebhookDelivery",
    "WebhookEndpoint",
    "WebhookEvent",
]
