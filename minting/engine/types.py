"""One frozen dataclass per fact; nothing here reads a clock, a socket or a table.

Units: ``base_units`` are the u64 of the token, ``lamports`` are 10⁻⁹ SOL. Addresses are
``Pubkey`` inside the engine and base58 text at the edges (``MintBatchData``, ``MintResult``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Protocol
from uuid import UUID

from solders.instruction import Instruction
from solders.pubkey import Pubkey
from solders.signature import Signature

MAX_BATCH_SIZE = 50
"""Readings that one call may name, as in the seed; ``BLOCKCHAIN_MAX_BATCH_SIZE`` replaces it."""

U64_MAX = 2**64 - 1


@dataclass(frozen=True, slots=True)
class MintBatchData:
    """Data for a single reading in a minting batch (seed)."""

    reading_id: UUID
    user_id: str
    wallet_address: str
    kwh_amount: Decimal
    tokens_to_mint: int
    """Base units."""
    meter_id: str | None = None


@dataclass(frozen=True, slots=True)
class MintResult:
    """What became of one reading (seed, with the error's code besides)."""

    reading_id: UUID
    success: bool
    error: str | None = None
    tx_signature: str | None = None
    error_code: str | None = None


@dataclass(frozen=True, slots=True)
class MintFacts:
    """What the mint account says; nothing else in the system names these."""

    address: Pubkey
    token_program: Pubkey
    decimals: int
    supply: int
    """Base units."""
    mint_authority: Pubkey | None
    freeze_authority: Pubkey | None
    account_size: int
    """Bytes of an associated token account of this mint: 165, or 170 with Token-2022."""


@dataclass(frozen=True, slots=True)
class Payment:
    """What one reading earns."""

    reading_id: UUID
    base_units: int


@dataclass(frozen=True, slots=True)
class Group:
    """The readings of one (user, wallet) inside a transaction: one mint instruction.

    ``payments`` is never empty and is ordered by the bytes of the reading ids.
    """

    user_id: str
    wallet: Pubkey
    payments: tuple[Payment, ...]

    @property
    def base_units(self) -> int:
        """Sum of the payments; at most ``U64_MAX``."""
        return sum(payment.base_units for payment in self.payments)


@dataclass(frozen=True, slots=True)
class Destination:
    """A group and the token account that it is paid to."""

    group: Group
    token_account: Pubkey
    create: bool
    """Whether the account is missing, so that this transaction creates it."""
    held_lamports: int = 0
    """What a missing account's address holds already; anyone can send lamports there."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Lamports that a plan takes from the fee payer."""

    network_fee: int = 0
    priority_fee: int = 0
    rent: int = 0

    @property
    def fee(self) -> int:
        """Network and priority fee, without rent."""
        return self.network_fee + self.priority_fee

    @property
    def total(self) -> int:
        """Everything: fees and rent."""
        return self.fee + self.rent

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            self.network_fee + other.network_fee,
            self.priority_fee + other.priority_fee,
            self.rent + other.rent,
        )


class MessageVersion(StrEnum):
    """Formats of a transaction's message that are built here."""

    V0 = "0"
    V1 = "1"
    """SIMD-0385."""


@dataclass(frozen=True, slots=True)
class PlannedTransaction:
    """Groups that travel together, in the order of their instructions."""

    batch_id: UUID
    destinations: tuple[Destination, ...]
    version: MessageVersion
    cost: Cost

    @property
    def payments(self) -> tuple[Payment, ...]:
        """All readings paid, ordered by the bytes of their ids: the leaves of the memo's tree."""
        return tuple(
            sorted(
                (
                    payment
                    for destination in self.destinations
                    for payment in destination.group.payments
                ),
                key=lambda payment: payment.reading_id.bytes,
            )
        )

    @property
    def base_units(self) -> int:
        """Sum of all groups."""
        return sum(destination.group.base_units for destination in self.destinations)

    @property
    def new_accounts(self) -> int:
        """Associated token accounts that this transaction creates."""
        return sum(destination.create for destination in self.destinations)


@dataclass(frozen=True, slots=True)
class Blockhash:
    """What dates a transaction, as one node answered it at ``confirmed``."""

    value: str
    """Base58."""
    slot: int
    """S0: context slot of the answer."""
    last_valid_block_height: int


@dataclass(frozen=True, slots=True)
class ExecutionLimits:
    """What a transaction asks of the block; zero lands as a paid failure."""

    compute_units: int
    loaded_data_bytes: int
    priority_fee_lamports: int = 0
    """In total. In v0 it is bid as a price per compute unit, in v1 as this sum (SIMD-0385)."""


@dataclass(frozen=True, slots=True)
class SignedTransaction:
    """Exact bytes, known by their signature before they are sent anywhere."""

    plan: PlannedTransaction
    signature: Signature
    raw: bytes
    blockhash: Blockhash
    memo_root: bytes
    limits: ExecutionLimits


@dataclass(frozen=True, slots=True)
class AccountView:
    """An account as a node answered it; ``None`` stands for an address that holds nothing."""

    lamports: int
    owner: Pubkey
    data: bytes
    executable: bool = False


@dataclass(frozen=True, slots=True)
class EpochInfo:
    """Slot and block height of one bank (``getEpochInfo``)."""

    slot: int
    block_height: int
    next_epoch: int | None = None
    """The first slot of the next epoch; ``None`` if the node did not say."""


class Commitment(StrEnum):
    """How sure the cluster is."""

    PROCESSED = "processed"
    CONFIRMED = "confirmed"
    FINALIZED = "finalized"


@dataclass(frozen=True, slots=True)
class SignatureStatus:
    """One entry of ``getSignatureStatuses`` that is not null."""

    slot: int
    commitment: Commitment
    err: object | None
    """JSON of the transaction error; ``None`` means that it succeeded."""


@dataclass(frozen=True, slots=True)
class StatusReport:
    """One answer of ``getSignatureStatuses``: as many entries as signatures asked."""

    context_slot: int
    statuses: tuple[SignatureStatus | None, ...]


@dataclass(frozen=True, slots=True)
class Simulation:
    """What ``simulateTransaction`` learned."""

    slot: int
    err: object | None
    failing_instruction: int | None
    """Index, when ``err`` is an ``InstructionError``."""
    compute_units: int
    loaded_data_bytes: int
    logs: tuple[str, ...]
    inner_instructions: tuple[tuple[int, int], ...] = ()
    """(Index of an instruction, how many others it called), for those that called any."""
    accounts: tuple[AccountView | None, ...] = ()
    """The accounts that were asked for, as it would leave them; none where it failed."""
    blockhash: Blockhash | None = None
    """What it was dated with: the latest of the bank that it ran on. ``None`` if the node did not
    say."""


@dataclass(frozen=True, slots=True)
class CalledInstruction:
    """An instruction by the numbers of its accounts, as messages and nodes write it."""

    program: int
    accounts: tuple[int, ...]
    data: bytes


@dataclass(frozen=True, slots=True)
class LandedTransaction:
    """``getTransaction``: what the chain keeps of one transaction."""

    signature: str
    slot: int
    err: object | None
    """JSON of the transaction error; ``None`` means that it succeeded."""
    raw: bytes
    fee: int
    """Lamports, network and priority together."""
    pre_balances: tuple[int, ...]
    """Lamports, in the order of the message's accounts: the fee payer first."""
    post_balances: tuple[int, ...]
    block_time: int | None = None
    """Unix seconds."""
    called: tuple[CalledInstruction, ...] | None = None
    """What its programs called; ``None`` if the node does not keep that."""
    loaded_addresses: tuple[Pubkey, ...] = ()
    """From lookup tables, writable ones first; they follow the message's own accounts."""
    token_owners: tuple[tuple[int, Pubkey], ...] = ()
    """(Number of a token account, whose it is afterwards), for those that it names."""


class Verdict(StrEnum):
    """What is known of a transaction; only ``DEAD`` frees its readings."""

    LANDED = "landed"
    LIVE = "live"
    DEAD = "dead"
    UNCERTAIN = "uncertain"


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """One row of ``getSignaturesForAddress``."""

    signature: str
    slot: int
    err: object | None
    memo: str | None


@dataclass(frozen=True, slots=True)
class Watched:
    """What the proof of death needs to know of a journalled transaction."""

    signature: str
    genesis_hash: str
    blockhash_slot: int
    last_valid_block_height: int


@dataclass(frozen=True, slots=True)
class DeathEvidence:
    """Everything asked of one URL for a proof of death, in the order it was asked.

    ``None`` stands for a question that got no usable answer; it proves nothing.
    """

    node: str
    genesis_hash: str | None
    finalized: EpochInfo | None
    """A: asked before every one of ``reports``."""
    reports: tuple[StatusReport, ...]
    """Answers with ``searchTransactionHistory``, on new connections, two seconds apart."""
    first_available_block: int | None = None
    second_witness: bool | None = None
    """Whether the authority's history, walked back past S0 to a known signature, lacks this one."""


class Signer(Protocol):
    """Whoever holds a key: a keypair in memory or a remote service."""

    @property
    def address(self) -> Pubkey:
        """The public key."""
        ...

    async def sign(self, messages: Sequence[bytes]) -> Sequence[Signature]:
        """Signs serialized messages, all in one go; the signatures come in their order.

        Raises:
            SignerUnavailable: Not now.
            SignerRefused: Not before a person has mended something.
        """
        ...


class MintProgram(Protocol):
    """How one group is minted: directly through the token program, or by an Anchor program."""

    def mint(
        self, destination: Destination, mint: MintFacts, authority: Pubkey
    ) -> Sequence[Instruction]:
        """The instructions that mint the group's sum to its token account."""
        ...
