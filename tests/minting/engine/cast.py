"""The cast of the engine's tests: deterministic keys, wallets and readings, and a real chain."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import Any
from uuid import UUID

from solders.account import Account
from solders.hash import Hash
from solders.keypair import Keypair
from solders.litesvm import LiteSVM
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.transaction import VersionedTransaction
from solders.transaction_metadata import (
    FailedTransactionMetadata,
    SimulatedTransactionInfo,
    TransactionMetadata,
)
from spl.token.constants import TOKEN_2022_PROGRAM_ID, TOKEN_PROGRAM_ID

from minting.engine.compose import sign_all
from minting.engine.mints import decode_mint
from minting.engine.packing import Carrier, Prices, pack
from minting.engine.programs.spl_token import SplTokenProgram
from minting.engine.types import (
    AccountView,
    Blockhash,
    Destination,
    ExecutionLimits,
    Group,
    MessageVersion,
    MintFacts,
    Payment,
    PlannedTransaction,
    SignedTransaction,
)
from minting.engine.wallets import associated_token_address, judge_token_account

V0, V1 = MessageVersion.V0, MessageVersion.V1
BATCH_ID = UUID("5b1c9a52-6f3c-4d7e-8c52-9d7f5a0e4c11")
PROGRAM = SplTokenProgram()
LIMITS = ExecutionLimits(compute_units=300_000, loaded_data_bytes=2**20)
RENT = 2_039_280
PRICES = Prices(signature_fee=5_000, account_rent=RENT)
UNBOUND = 2**64 - 1


def keypair(name: str) -> Keypair:
    """Always the same key for the same name."""
    return Keypair.from_seed(sha256(name.encode()).digest())


def wallet(number: int) -> Pubkey:
    return keypair(f"household {number}").pubkey()


def reading_id(number: int) -> UUID:
    return UUID(bytes=sha256(f"reading {number}".encode()).digest()[:16], version=4)


AUTHORITY = keypair("operator")
PAYER = keypair("fee payer")
OUTSIDER = keypair("outsider")
MINT = keypair("mint")
BLOCKHASH = Blockhash(value=str(Hash.hash(b"recent")), slot=1_000, last_valid_block_height=1_150)


class HotKey:
    """A signer whose key lies in memory."""

    def __init__(self, key: Keypair) -> None:
        self.key = key

    @property
    def address(self) -> Pubkey:
        return self.key.pubkey()

    async def sign(self, messages: Sequence[bytes]) -> list[Signature]:
        return [self.key.sign_message(message) for message in messages]


async def sign(
    plan: PlannedTransaction, *, limits: ExecutionLimits, **rest: Any
) -> SignedTransaction:
    """One transaction as ``sign_all`` makes it."""
    (signed,) = await sign_all([(plan, limits)], **rest)
    return signed


def mint_facts(token_program: Pubkey = TOKEN_PROGRAM_ID) -> MintFacts:
    return MintFacts(
        address=MINT.pubkey(),
        token_program=token_program,
        decimals=9,
        supply=0,
        mint_authority=AUTHORITY.pubkey(),
        freeze_authority=None,
        account_size=170 if token_program == TOKEN_2022_PROGRAM_ID else 165,
    )


FACTS = mint_facts()


def group(number: int, *base_units: int) -> Group:
    """The group of household ``number``; reading ids are unique across households."""
    payments = [
        Payment(reading_id(number * 1_000 + index), units)
        for index, units in enumerate(base_units or (1_000 + number,))
    ]
    payments.sort(key=lambda payment: payment.reading_id.bytes)
    return Group(f"user-{number}", wallet(number), tuple(payments))


def destination(
    number: int, *base_units: int, create: bool = False, held: int = 0, mint: MintFacts = FACTS
) -> Destination:
    paid = group(number, *base_units)
    return Destination(paid, associated_token_address(paid.wallet, mint), create, held)


def plan_of(
    destinations: Iterable[Destination], version: MessageVersion = V1, mint: MintFacts = FACTS
) -> PlannedTransaction:
    """Exactly one transaction that pays all of them."""
    plans = packed(list(destinations), version=version, mint=mint)
    assert len(plans) == 1, "the destinations do not fit one transaction"
    return plans[0]


def packed(
    destinations: list[Destination],
    *,
    version: MessageVersion = V1,
    max_tokens: int = UNBOUND,
    groups: int = 1_000,
    mint: MintFacts = FACTS,
    prices: Prices = PRICES,
    payer: Pubkey | None = None,
    program: SplTokenProgram = PROGRAM,
) -> list[PlannedTransaction]:
    carrier = Carrier(version, mint, program, AUTHORITY.pubkey(), prices, payer)
    return pack(
        destinations,
        carrier,
        batch_id=BATCH_ID,
        max_tokens=max_tokens,
        groups_per_transaction=groups,
    )


class Chain:
    """LiteSVM with our mint on it and a rich authority."""

    def __init__(self, token_program: Pubkey = TOKEN_PROGRAM_ID) -> None:
        self.svm = LiteSVM()
        self.svm.airdrop(AUTHORITY.pubkey(), 10**12)
        self.token_program = token_program
        data = bytearray(82)
        data[0:4], data[4:36] = b"\x01\x00\x00\x00", bytes(AUTHORITY.pubkey())
        data[44:46] = b"\x09\x01"
        data[46:50], data[50:82] = b"\x01\x00\x00\x00", bytes(AUTHORITY.pubkey())
        self.svm.set_account(MINT.pubkey(), Account(10**9, bytes(data), token_program))

    @property
    def facts(self) -> MintFacts:
        return decode_mint(MINT.pubkey(), self.view(MINT.pubkey()))

    @property
    def blockhash(self) -> Blockhash:
        return Blockhash(str(self.svm.latest_blockhash()), slot=1, last_valid_block_height=151)

    @property
    def rent(self) -> int:
        return self.svm.minimum_balance_for_rent_exemption(self.facts.account_size)

    @property
    def prices(self) -> Prices:
        return Prices(signature_fee=5_000, account_rent=self.rent)

    def view(self, address: Pubkey) -> AccountView | None:
        account = self.svm.get_account(address)
        if account is None:
            return None
        return AccountView(account.lamports, account.owner, bytes(account.data))

    def destination(self, number: int, *base_units: int) -> Destination:
        """The household's group with what the chain really holds for it."""
        paid = group(number, *base_units)
        address = associated_token_address(paid.wallet, self.facts)
        state = judge_token_account(paid.wallet, self.view(address), self.facts)
        return Destination(paid, address, state.create, state.held_lamports)

    def open_account(self, number: int, *, owner: Pubkey | None = None, state: int = 1) -> Pubkey:
        """Puts the household's token account there, as the programs would have left it."""
        address = associated_token_address(wallet(number), self.facts)
        data = bytearray(165)
        data[0:32], data[32:64] = bytes(MINT.pubkey()), bytes(owner or wallet(number))
        data[108] = state
        if self.token_program == TOKEN_2022_PROGRAM_ID:
            data += b"\x02" + b"\x07\x00\x00\x00"
        self.svm.set_account(address, Account(self.rent, bytes(data), self.token_program))
        return address

    def prefund(self, number: int, lamports: int) -> None:
        """What anyone can do to the address of a missing account."""
        address = associated_token_address(wallet(number), self.facts)
        self.svm.set_account(address, Account(lamports, b"", Pubkey.default()))

    def balance(self, number: int) -> int:
        view = self.view(associated_token_address(wallet(number), self.facts))
        return int.from_bytes(view.data[64:72], "little") if view else 0

    def lamports(self, address: Pubkey) -> int:
        return self.svm.get_balance(address) or 0

    def send(self, raw: bytes) -> TransactionMetadata | FailedTransactionMetadata:
        return self.svm.send_transaction(VersionedTransaction.from_bytes(raw))

    def simulate(self, raw: bytes) -> SimulatedTransactionInfo | FailedTransactionMetadata:
        self.svm.with_sigverify(False).with_blockhash_check(False)
        try:
            return self.svm.simulate_transaction(VersionedTransaction.from_bytes(raw))
        finally:
            self.svm.with_sigverify(True).with_blockhash_check(True)
