"""What can go wrong in minting, as one tree.

::

    BlockchainError                 code, permanent
    ├── EmptyBatch                  empty_batch
    ├── BatchTooLarge               batch_too_large       size, max_size
    ├── InvalidBatchData            invalid_batch_data    reason, items
    ├── PartiallySuccessful         partially_successful  success, total
    ├── MintingRefused              minting_refused       wrong cluster, authority, mint or decimals
    │   ├── GateClosed              gate_closed           the chain knows what the journal does not
    │   └── SignerRefused           signer_refused        no signature before a person looks
    ├── MintingStopped              minting_stopped       a person or a limit stopped minting
    │   └── DailyLimitPassed        daily_limit_passed    MINT_MAX_KWH_PER_DAY; stops minting
    ├── ApprovalRefused             approval_conflict     decided already, void, or by who asked
    ├── ApprovalVoid                approval_void         not approved (any more), or another batch
    ├── NothingToRetry              nothing_to_retry      no failed reading that may be minted
    ├── InsufficientFunds           insufficient_funds    missing lamports
    ├── FeeEstimationDisabled       fee_estimation_disabled
    ├── VerificationFailed          verification_failed   signed bytes differ from the plan (I6)
    ├── PackRefused                 pack_refused          an audit pack that is damaged, or none
    ├── ReceiptRefused              receipt_refused       no receipt, damaged, or not of this chain
    ├── WalletRefused               one wallet's own fault; its code says which
    ├── SignerUnavailable           signer_unavailable    no signature now
    ├── JournalUnwritable           journal_unwritable    the disk of MINT_JOURNAL_DIR takes nothing
    └── SolanaError                 solana_error          the cluster, or the way to it
        ├── NodeUnreachable         node_unreachable      no answer: proves nothing
        ├── RateLimited             rate_limited          HTTP 429, retry_after
        ├── MintNotFinal            mint_not_final        too new to be compared with the journal
        ├── PricesChanged           solana_error          the chain charges other than was planned
        └── RpcRefused              rpc_refused           an answer that is an error

The names ``EmptyBatch``, ``BatchTooLarge``, ``PartiallySuccessful``, ``InvalidBatchData`` and
``SolanaError`` are the seed's. A *permanent* error stays true however often one tries again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID


@dataclass(frozen=True, slots=True)
class InvalidItem:
    """One reading of a request that cannot be minted, and why."""

    reading_id: UUID
    code: str
    detail: str


class BlockchainError(Exception):
    """Root of everything minting raises on purpose."""

    code = "blockchain_error"
    permanent = False


class EmptyBatch(BlockchainError):
    """A batch without readings."""

    code = "empty_batch"
    permanent = True

    def __init__(self) -> None:
        super().__init__("Empty batch provided")


class BatchTooLarge(BlockchainError):
    """More readings than one call may name (``BLOCKCHAIN_MAX_BATCH_SIZE``)."""

    code = "batch_too_large"
    permanent = True

    def __init__(self, size: int, max_size: int) -> None:
        super().__init__(f"Batch too large: {size} items, max {max_size}")
        self.size = size
        self.max_size = max_size


class InvalidBatchData(BlockchainError):
    """Readings that cannot be minted as asked, told one by one in ``items``."""

    code = "invalid_batch_data"
    permanent = True

    def __init__(self, reason: str, items: Sequence[InvalidItem] = ()) -> None:
        super().__init__(f"Invalid batch data: {reason}")
        self.reason = reason
        self.items = tuple(items)


class PartiallySuccessful(BlockchainError):
    """Some readings of a finished batch were minted and some were not."""

    code = "partially_successful"
    permanent = True

    def __init__(self, success: int, total: int) -> None:
        super().__init__(f"Batch partially successful: {success}/{total}")
        self.success = success
        self.total = total


class MintingRefused(BlockchainError):
    """Nothing may be queued or signed: wrong cluster, authority, mint or decimals."""

    code = "minting_refused"


class MintingStopped(BlockchainError):
    """Nothing new may be signed until a person resumes minting."""

    code = "minting_stopped"

    def __init__(self, reason: str) -> None:
        super().__init__(f"Minting is stopped: {reason}")
        self.reason = reason


class DailyLimitPassed(MintingStopped):
    """What is about to be signed passes ``MINT_MAX_KWH_PER_DAY``; all in kWh."""

    code = "daily_limit_passed"

    def __init__(self, *, wanted: Decimal, allowed: Decimal) -> None:
        super().__init__(
            f"{wanted:f} kWh would be signed for today (UTC), and {allowed:f} kWh are allowed"
        )
        self.wanted = wanted
        self.allowed = allowed


class ApprovalRefused(BlockchainError):
    """A decision about a batch that cannot be taken: decided already, void, or by who asked."""

    code = "approval_conflict"

    def __init__(self, reason: str) -> None:
        super().__init__(f"Not decided: {reason}")


class ApprovalVoid(BlockchainError):
    """A batch must not be signed for: it is not approved, not any more, or not as it is now."""

    code = "approval_void"
    permanent = True

    def __init__(self, batch_id: UUID, reason: str) -> None:
        super().__init__(f"Nothing of this batch is signed any more: {reason}")
        self.batch_id = batch_id


class NothingToRetry(BlockchainError):
    """No reading of the batch failed and may be minted now."""

    code = "nothing_to_retry"

    def __init__(self) -> None:
        super().__init__("No reading of this batch failed and may be minted now")


class GateClosed(MintingRefused):
    """Nothing may be signed until ``reconcile`` has explained what the chain holds."""

    code = "gate_closed"


class SignerRefused(MintingRefused):
    """Whoever holds the key will not sign, or not with our key, until a person mends it."""

    code = "signer_refused"


class SignerUnavailable(BlockchainError):
    """Whoever holds the key gives no signature now: it is silent, sealed or too busy."""

    code = "signer_unavailable"


class JournalUnwritable(BlockchainError):
    """The disk does not take the leaves of what is signed (full, not ours): nothing is sent."""

    code = "journal_unwritable"


class InsufficientFunds(BlockchainError):
    """The fee payer cannot pay for the plan; ``missing`` lamports are short."""

    code = "insufficient_funds"

    def __init__(self, missing: int) -> None:
        super().__init__(f"The fee payer is short of {missing:,} lamports for this plan")
        self.missing = missing


class FeeEstimationDisabled(BlockchainError):
    """``BLOCKCHAIN_FEE_ESTIMATION_ENABLED`` is false."""

    code = "fee_estimation_disabled"
    permanent = True

    def __init__(self) -> None:
        super().__init__("Fee estimation is disabled (BLOCKCHAIN_FEE_ESTIMATION_ENABLED=false)")


class VerificationFailed(BlockchainError):
    """The bytes about to be signed or journalled are not what was planned (I6)."""

    code = "verification_failed"
    # The same plan would be signed the same way again: a person has to look.
    permanent = True


class PackRefused(BlockchainError):
    """A file that should be an audit pack and is not as one was written."""

    code = "pack_refused"
    permanent = True


class ReceiptRefused(BlockchainError):
    """A receipt that cannot be written, or read, or that the chain knows nothing of."""

    code = "receipt_refused"
    permanent = True

    def __init__(self, reason: str) -> None:
        super().__init__(f"No receipt: {reason}")


class WalletRefused(BlockchainError):
    """A wallet that must not or cannot be paid; blames nobody else (I8)."""

    permanent = True

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code


class SolanaError(BlockchainError):
    """The cluster, or the way to it, failed. Proves nothing about any transaction."""

    code = "solana_error"


class NodeUnreachable(SolanaError):
    """No node gave an answer."""

    code = "node_unreachable"


class RateLimited(SolanaError):
    """A node asked for fewer requests (HTTP 429)."""

    code = "rate_limited"

    def __init__(self, retry_after: float) -> None:
        super().__init__(f"The node asks to wait {retry_after:g} s")
        self.retry_after = retry_after


class MintNotFinal(SolanaError):
    """The mint was made a moment ago: nothing of it is final, so there is nothing to compare."""

    code = "mint_not_final"

    def __init__(self) -> None:
        super().__init__("Nothing to compare yet: the mint itself is not finalized")


class PricesChanged(SolanaError):
    """A simulation shows another price than was planned with: ask again, and plan anew."""


class RpcRefused(SolanaError):
    """A node answered with a JSON-RPC error."""

    code = "rpc_refused"

    def __init__(self, rpc_code: int, message: str) -> None:
        super().__init__(f"The node refused ({rpc_code}): {message}")
        self.rpc_code = rpc_code
        self.message = message


class FormatRefused(RpcRefused):
    """A node cannot read a transaction: it does not know its version, or finds it too long."""
