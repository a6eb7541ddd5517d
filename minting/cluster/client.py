"""One node: each RPC method that the system needs, answered in the engine's own facts.

Every method but ``send`` raises ``NodeUnreachable``, ``RateLimited``, ``RpcRefused`` or, for an
answer that is not what was asked, ``SolanaError``. None of these proves anything.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Sequence

from solders.hash import Hash
from solders.message import MessageV1, TransactionConfig
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.system_program import TransferParams, transfer
from solders.transaction import VersionedTransaction

from minting.cluster import parsing
from minting.cluster.concurrency import pages, together
from minting.cluster.transport import Transport
from minting.engine.errors import FormatRefused, RpcRefused, SolanaError
from minting.engine.types import (
    AccountView,
    Blockhash,
    Commitment,
    EpochInfo,
    HistoryEntry,
    LandedTransaction,
    Simulation,
    StatusReport,
)

ACCOUNTS_PER_CALL = 100
"""``getMultipleAccounts``: Agave's MAX_MULTIPLE_ACCOUNTS."""
SIGNATURES_PER_CALL = 256
"""``getSignatureStatuses``: Agave's MAX_GET_SIGNATURE_STATUSES_QUERY_ITEMS."""
HISTORY_PER_CALL = 1_000
"""``getSignaturesForAddress``: Agave's MAX_GET_CONFIRMED_SIGNATURES_FOR_ADDRESS2_LIMIT."""
QUICK = 5.0
"""Seconds for what costs a node nothing to answer. Whatever a send lost is resent anyway."""
TRANSACTION_VERSION = 1
"""The newest format that we read (SIMD-0385)."""

NODE_TROUBLE = frozenset(
    {
        -32603,  # internal error
        -32601,  # method not found: a node may lack it
        -32005,  # node unhealthy: behind
        -32004,  # block not available
        -32010,  # key excluded from secondary index
        -32011,  # transaction history not available
        -32014,  # block status not available yet
        -32016,  # minimum context slot not reached
        -32019,  # long-term storage unreachable
    }
)
"""JSON-RPC codes that speak of the node, not of the question (Agave rpc-client-api): another node
may answer."""

INVALID_PARAMS = -32602
"""What a node answers to a transaction that it cannot decode (Agave, rpc.rs)."""

FORMAT_ERRORS = frozenset({"UnsupportedVersion", "SanitizeFailure"})
"""What a simulation says of a message whose format the cluster does not take."""


class Node(Transport):
    """One URL and what may be asked there. An async context manager.

    Units: lamports, slots, bytes; addresses are ``Pubkey``, signatures and hashes base58 text.
    """

    async def genesis_hash(self) -> str:
        """Which cluster this is."""
        return parsing.text(await self.call("getGenesisHash", at_most=QUICK))

    async def health(self) -> None:
        """Returns if the node says that it keeps up; raises ``SolanaError`` if not."""
        answer = await self.call("getHealth", at_most=QUICK)
        if answer != "ok":
            raise SolanaError(f"{self.name} is not well")

    async def version(self) -> str:
        """The node's software version."""
        holder = parsing.mapping(await self.call("getVersion"))
        return parsing.text(parsing.field(holder, "solana-core"))

    async def slot(self, commitment: Commitment = Commitment.CONFIRMED) -> int:
        """The newest slot at ``commitment``."""
        return parsing.integer(await self.call("getSlot", {"commitment": commitment}))

    async def epoch_info(self, commitment: Commitment = Commitment.CONFIRMED) -> EpochInfo:
        """Slot and block height of one bank."""
        return parsing.epoch_info(await self.call("getEpochInfo", {"commitment": commitment}))

    async def first_available_block(self) -> int:
        """The oldest slot whose block this node still has."""
        return parsing.integer(await self.call("getFirstAvailableBlock"))

    async def latest_blockhash(self) -> Blockhash:
        """The newest confirmed blockhash, with the slot (S0) of the answer."""
        answer = await self.call("getLatestBlockhash", {"commitment": Commitment.CONFIRMED})
        return parsing.blockhash(answer)

    async def balance(
        self, address: Pubkey, *, min_context_slot: int | None = None
    ) -> tuple[int, int]:
        """Confirmed lamports, and the slot of the answer."""
        config = _config(commitment=Commitment.CONFIRMED, minContextSlot=min_context_slot)
        answer = await self.call("getBalance", str(address), config)
        return parsing.in_context(answer, parsing.integer)

    async def account(
        self, address: Pubkey, *, commitment: Commitment = Commitment.CONFIRMED
    ) -> AccountView | None:
        """One account, ``None`` where there is none; at ``confirmed`` unless told otherwise."""
        config = {**ACCOUNT_CONFIG, "commitment": commitment}
        answer = await self.call("getAccountInfo", str(address), config)
        return parsing.in_context(answer, parsing.account)[0]

    async def accounts(
        self, addresses: Sequence[Pubkey]
    ) -> tuple[tuple[AccountView | None, ...], int]:
        """Any number of accounts at ``confirmed``, in order, and the lowest slot they are from."""
        return joined_accounts(
            await together(map(self._accounts_page, pages(addresses, ACCOUNTS_PER_CALL)))
        )

    async def _accounts_page(
        self, addresses: Sequence[Pubkey]
    ) -> tuple[tuple[AccountView | None, ...], int]:
        names = [str(address) for address in addresses]
        answer = await self.call("getMultipleAccounts", names, ACCOUNT_CONFIG)
        rows, slot = parsing.in_context(answer, parsing.sequence)
        if len(rows) != len(names):
            raise SolanaError(f"Unusable answer: {len(rows)} accounts for {len(names)} addresses")
        return tuple(parsing.account(row) for row in rows), slot

    async def rent(self, size: int) -> int:
        """Lamports that keep an account of ``size`` bytes alive."""
        answer = await self.call(
            "getMinimumBalanceForRentExemption", size, {"commitment": Commitment.CONFIRMED}
        )
        return parsing.integer(answer)

    async def fee_for_message(self, message: bytes) -> int:
        """Lamports that the serialized message (``to_bytes_versioned``) costs.

        Raises:
            SolanaError: Besides the usual: the node does not know the message's blockhash.
        """
        config = {"commitment": Commitment.CONFIRMED}
        answer = await self.call("getFeeForMessage", _base64(message), config)
        fee, _ = parsing.in_context(answer, lambda value: value)
        if fee is None:
            raise SolanaError(f"{self.name} does not know the message's blockhash (or no longer)")
        return parsing.integer(fee)

    async def simulate(self, raw: bytes, accounts: Sequence[Pubkey] = ()) -> Simulation:
        """What the transaction would do now; its signatures and blockhash are not looked at.

        Args:
            raw: The transaction.
            accounts: Which to show as it would leave them; no more than it names itself.

        Raises:
            FormatRefused: Besides the usual: the node cannot decode it.
        """
        config: dict[str, object] = {
            "encoding": "base64",
            "commitment": Commitment.CONFIRMED,
            "replaceRecentBlockhash": True,
            "sigVerify": False,
            "innerInstructions": True,
        }
        if accounts:
            addresses = [str(address) for address in accounts]
            config["accounts"] = {"encoding": "base64", "addresses": addresses}
        answer = await self._carry("simulateTransaction", raw, config, at_most=math.inf)
        return parsing.simulation(answer, len(accounts))

    async def supports_v1(self, authority: Pubkey) -> bool:
        """Whether transactions of version 1 are taken, asked by simulating an unsigned one.

        Any verdict on what the message *does* means that its format was understood.
        """
        try:
            simulation = await self.simulate(_unsigned_v1(authority))
        except RpcRefused as refusal:
            if refusal.rpc_code in NODE_TROUBLE:
                raise
            return False
        return not fails_for_its_format(simulation)

    async def send(self, raw: bytes) -> str | None:
        """Like ``submit``, but raises nothing: what went wrong is a short note for the log."""
        try:
            await self.submit(raw)
        except SolanaError as failure:
            return str(failure)
        return None

    async def submit(self, raw: bytes) -> None:
        """Hands the transaction to the node, without preflight and without its own resending.

        Neither success nor refusal says anything about the transaction's fate; what is raised is
        about the node only. ``FormatRefused``: it does not take this format, whatever is in it.
        """
        config = {"encoding": "base64", "skipPreflight": True, "maxRetries": 0}
        await self._carry("sendTransaction", raw, config, at_most=QUICK)

    async def _carry(
        self, method: str, raw: bytes, config: dict[str, object], *, at_most: float
    ) -> object:
        """A call whose first parameter is a transaction."""
        try:
            return await self.call(method, _base64(raw), config, at_most=at_most)
        except RpcRefused as refusal:
            if refusal.rpc_code != INVALID_PARAMS:
                raise
            raise FormatRefused(refusal.rpc_code, refusal.message) from refusal

    async def statuses(
        self, signatures: Sequence[str], *, search_history: bool = False
    ) -> StatusReport:
        """What the node knows of any number of signatures, in order.

        The slot is the lowest of the answers' (of the *processed* bank, whatever is asked).

        Raises:
            SolanaError: Besides the usual: not one entry per signature.
        """
        parts = pages(signatures, SIGNATURES_PER_CALL)
        return joined_statuses(
            await together(self._statuses_page(part, search_history) for part in parts)
        )

    async def _statuses_page(self, signatures: Sequence[str], search: bool) -> StatusReport:
        config = {"searchTransactionHistory": search}
        answer = await self.call("getSignatureStatuses", list(signatures), config)
        return parsing.status_report(answer, len(signatures))

    async def signatures_for_address(
        self,
        address: Pubkey,
        *,
        before: str | None = None,
        until: str | None = None,
        limit: int = HISTORY_PER_CALL,
        min_context_slot: int | None = None,
        commitment: Commitment = Commitment.FINALIZED,
    ) -> tuple[HistoryEntry, ...]:
        """One page of the address's history, newest first; finalized unless told otherwise.

        An unknown ``before`` answers an empty page and an unknown ``until`` everything: only
        meeting a signature already known shows that a walk is complete.
        """
        config = _config(
            commitment=commitment,
            limit=limit,
            before=before,
            until=until,
            minContextSlot=min_context_slot,
        )
        answer = await self.call("getSignaturesForAddress", str(address), config)
        return parsing.history(answer)

    async def transaction(
        self, signature: str, *, commitment: Commitment = Commitment.FINALIZED
    ) -> LandedTransaction | None:
        """What the chain keeps of a transaction; ``None`` proves nothing."""
        config = {
            "encoding": "base64",
            "commitment": commitment,
            "maxSupportedTransactionVersion": TRANSACTION_VERSION,
        }
        return parsing.landed(signature, await self.call("getTransaction", signature, config))

    async def token_supply(
        self, mint: Pubkey, *, commitment: Commitment = Commitment.FINALIZED
    ) -> tuple[int, int]:
        """Base units of the mint in existence, and the slot of the answer."""
        answer = await self.call("getTokenSupply", str(mint), {"commitment": commitment})
        return parsing.in_context(answer, parsing.token_amount)

    async def recent_priority_fees(self, addresses: Sequence[Pubkey]) -> tuple[int, ...]:
        """Micro-lamports per compute unit that were lately paid to lock ``addresses`` (≤ 128)."""
        answer = await self.call("getRecentPrioritizationFees", [str(item) for item in addresses])
        rows = (parsing.mapping(row) for row in parsing.sequence(answer))
        return tuple(parsing.integer(parsing.field(row, "prioritizationFee")) for row in rows)


def fails_for_its_format(simulation: Simulation) -> bool:
    """Whether the cluster does not take messages of this version, whatever they do."""
    return isinstance(simulation.err, str) and simulation.err in FORMAT_ERRORS


ACCOUNT_CONFIG = {"encoding": "base64", "commitment": Commitment.CONFIRMED}


def joined_accounts(
    parts: Sequence[tuple[tuple[AccountView | None, ...], int]],
) -> tuple[tuple[AccountView | None, ...], int]:
    """The answers of several calls as one, dated by the oldest; slot 0 if nothing was asked."""
    accounts = tuple(account for part, _ in parts for account in part)
    return accounts, min((slot for _, slot in parts), default=0)


def joined_statuses(parts: Sequence[StatusReport]) -> StatusReport:
    """The answers of several calls as one, dated by the oldest; slot 0 if nothing was asked."""
    return StatusReport(
        context_slot=min((part.context_slot for part in parts), default=0),
        statuses=tuple(status for part in parts for status in part.statuses),
    )


def _config(**options: object) -> dict[str, object]:
    """RPC options without those that are not given."""
    return {name: value for name, value in options.items() if value is not None}


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def _unsigned_v1(payer: Pubkey) -> bytes:
    """The smallest v1 transaction: the payer sends itself nothing."""
    nothing = transfer(TransferParams(from_pubkey=payer, to_pubkey=payer, lamports=0))
    # Limits left unset would be zero (SIMD-0385).
    config = TransactionConfig(compute_unit_limit=10_000, loaded_accounts_data_size_limit=65_536)
    message = MessageV1.try_compile(payer, [nothing], Hash.default(), config)
    return bytes(VersionedTransaction.populate(message, [Signature.default()]))
