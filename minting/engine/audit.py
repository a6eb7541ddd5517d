"""What landed bytes mint, read with no help from what built them, and what the journal says.

Pure: pages of history, raw bytes and the journal's rows come in, differences come out. A journalled
signature that is valid for the journalled bytes proves that these bytes landed, since it covers
them; so only transactions that the journal does not know have to be fetched.

===================  ============================================================================
``missing``           the journal says finalized, the chain does not have it
``unknown_mint``      the chain minted what the journal does not know: by others, or by us before a
                      restore
``wrong_amount``      a token account got more or less than the results say
``wrong_wallet``      a token account was paid that no result names
``root_mismatch``     wallets and sums agree, but the memo's root is of other readings
``bytes_differ``      the stored bytes are not those that the stored signature signs
``status_differs``    a stored status is not what follows from the chain or from the results
``supply_difference`` I7's equation does not hold: something minted or burned was not seen
``mint_changed``      the mint's authority or its extensions are not what they were
===================  ============================================================================
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from solana.constants import SYSTEM_PROGRAM_ID
from solders.compute_budget import ID as COMPUTE_BUDGET_ID
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction
from spl.memo.constants import MEMO_PROGRAM_ID
from spl.token.constants import ASSOCIATED_TOKEN_PROGRAM_ID

from minting.engine.receipts import leaf, merkle_root, parse_memo
from minting.engine.states import TransactionStatus
from minting.engine.types import CalledInstruction, HistoryEntry, MintFacts
from minting.engine.wallets import TOKEN_PROGRAMS, associated_token_address

# spl_token::instruction::TokenInstruction: tag, then the amount (u64 LE); the checked ones carry
# the decimals behind it. Both token programs ignore bytes that follow.
_MINT_TO, _BURN, _MINT_TO_CHECKED, _BURN_CHECKED = 7, 8, 14, 15
_AMOUNT = 8
_AMOUNT_END = 1 + _AMOUNT
_BATCH = 255
"""p-token (SIMD-0266): (accounts u8, data length u8, data) of each instruction within."""


_KNOWN_PROGRAMS = TOKEN_PROGRAMS | {
    ASSOCIATED_TOKEN_PROGRAM_ID,
    COMPUTE_BUDGET_ID,
    MEMO_PROGRAM_ID,
    SYSTEM_PROGRAM_ID,
}
"""What these do their instructions tell: they mint nothing by calling others."""


class Difference(StrEnum):
    """Kinds of differences between journal and chain; what each means stands above."""

    MISSING = "missing"
    UNKNOWN_MINT = "unknown_mint"
    WRONG_AMOUNT = "wrong_amount"
    WRONG_WALLET = "wrong_wallet"
    ROOT_MISMATCH = "root_mismatch"
    BYTES_DIFFER = "bytes_differ"
    STATUS_DIFFERS = "status_differs"
    SUPPLY_DIFFERENCE = "supply_difference"
    MINT_CHANGED = "mint_changed"


@dataclass(frozen=True, slots=True)
class Finding:
    """One difference; amounts are base units, ``None`` where there is no such side."""

    kind: Difference
    signature: str = ""
    wallet: str = ""
    """The wallet, or the token account where its wallet is not known."""
    on_chain: int | None = None
    in_journal: int | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class MintedTo:
    """One instruction that created units."""

    token_account: Pubkey
    authority: Pubkey
    base_units: int


@dataclass(frozen=True, slots=True)
class Asked:
    """A call of a program that mints by itself: what it was asked, not what it did."""

    program: Pubkey
    accounts: tuple[Pubkey, ...]
    base_units: int


@dataclass(frozen=True, slots=True)
class Contents:
    """What a transaction does to one mint, if it succeeds."""

    signature: str
    signed: bool
    """Whether its signatures are valid for its bytes."""
    fee_payer: Pubkey
    mints: tuple[MintedTo, ...]
    burned: int
    keys: tuple[Pubkey, ...]
    """Its accounts, as the numbers of a node's answer count them."""
    memo: tuple[UUID, bytes] | None
    """Batch id and root, where it carries one memo of ours."""
    asked: tuple[Asked, ...] = ()
    """Calls of programs that may mint, where only the bytes are known. Where it is known what they
    called, ``mints`` has that."""

    @property
    def minted(self) -> int:
        """Base units created; as far as only the bytes are known, those that were asked for."""
        asked = sum(each.base_units for each in self.asked)
        return asked + sum(each.base_units for each in self.mints)

    @property
    def by_account(self) -> Counter[Pubkey]:
        """Base units created, by token account."""
        sums: Counter[Pubkey] = Counter()
        for each in self.mints:
            sums[each.token_account] += each.base_units
        return sums

    def asked_by_account(self, accounts: Collection[Pubkey]) -> Counter[Pubkey]:
        """Base units asked of programs, by token account.

        Args:
            accounts: Token accounts that may be meant. A call names several addresses; what it
                asks for counts for the one among these, else for its program, which is none.
        """
        sums: Counter[Pubkey] = Counter()
        for call in self.asked:
            meant = set(call.accounts) & set(accounts)
            sums[meant.pop() if len(meant) == 1 else call.program] += call.base_units
        return sums


@dataclass(frozen=True, slots=True)
class Paid:
    """A leaf: one reading that a transaction pays."""

    reading_id: UUID
    wallet: str
    base_units: int


def read_transaction(
    raw: bytes,
    mint: Pubkey,
    *,
    called: Sequence[CalledInstruction] | None = (),
    loaded: Sequence[Pubkey] = (),
) -> Contents:
    """Decodes any transaction, ours or a stranger's.

    Args:
        raw: The whole transaction, of any version.
        mint: Whose mints and burns count.
        called: Instructions that programs called (``meta.innerInstructions``); ``None`` where only
            the bytes are at hand, which do not tell.
        loaded: Addresses from lookup tables, writable ones first.

    Raises:
        ValueError: The bytes are no transaction.
    """
    try:
        transaction = VersionedTransaction.from_bytes(raw)
        transaction.sanitize()
        signed = all(transaction.verify_with_results())
    except Exception as error:  # solders raises several unrelated kinds
        raise ValueError(f"not a transaction: {error}") from error
    message = transaction.message
    keys = [*message.account_keys, *loaded]
    top = [
        CalledInstruction(each.program_id_index, tuple(each.accounts), bytes(each.data))
        for each in message.instructions
    ]
    mints: list[MintedTo] = []
    burned = 0
    for accounts, data in _token_instructions([*top, *(called or ())], keys):
        amount = int.from_bytes(data[1:_AMOUNT_END], "little")
        if data[0] in (_MINT_TO, _MINT_TO_CHECKED) and accounts[0] == mint:
            mints.append(MintedTo(accounts[1], accounts[2], amount))
        elif data[0] in (_BURN, _BURN_CHECKED) and accounts[1] == mint:
            burned += amount
    return Contents(
        signature=str(transaction.signatures[0]),
        signed=signed,
        fee_payer=keys[0],
        mints=tuple(mints),
        burned=burned,
        keys=tuple(keys),
        memo=_our_memo(top, keys),
        asked=tuple(_asked(top, keys, mint)) if called is None else (),
    )


def _asked(
    instructions: Sequence[CalledInstruction], keys: Sequence[Pubkey], mint: Pubkey
) -> Iterator[Asked]:
    """Calls of programs that name the mint and end with an amount, as Anchor writes them."""
    for each in instructions:
        program, accounts = keys[each.program], tuple(keys[index] for index in each.accounts)
        if program in _KNOWN_PROGRAMS or mint not in accounts or len(each.data) <= _AMOUNT:
            continue
        yield Asked(program, accounts, int.from_bytes(each.data[-_AMOUNT:], "little"))


def _token_instructions(
    instructions: Sequence[CalledInstruction], keys: Sequence[Pubkey]
) -> Iterator[tuple[Sequence[Pubkey], bytes]]:
    """(accounts, data) of what the token programs execute and what moves an amount of a mint."""
    for each in instructions:
        if keys[each.program] not in TOKEN_PROGRAMS:
            continue
        accounts = [keys[index] for index in each.accounts]
        parts = (
            _unpacked(accounts, each.data) if each.data[:1] == b"\xff" else [(accounts, each.data)]
        )
        yield from (part for part in parts if len(part[0]) >= 3 and len(part[1]) >= _AMOUNT_END)


def _unpacked(accounts: Sequence[Pubkey], data: bytes) -> Iterator[tuple[Sequence[Pubkey], bytes]]:
    """The instructions inside a p-token ``Batch``; they are not told as inner instructions."""
    at, first = 1, 0
    while at + 2 <= len(data):
        count, length = data[at], data[at + 1]
        yield accounts[first : first + count], data[at + 2 : at + 2 + length]
        at, first = at + 2 + length, first + count


def _our_memo(
    instructions: Sequence[CalledInstruction], keys: Sequence[Pubkey]
) -> tuple[UUID, bytes] | None:
    parsed = [
        memo
        for each in instructions
        if keys[each.program] == MEMO_PROGRAM_ID
        if (memo := parse_memo(each.data.decode("ascii", errors="replace")))
    ]
    return parsed[0] if len(parsed) == 1 else None


@dataclass(frozen=True, slots=True)
class Sorted:
    """A page of the mint's history, sorted by what has to be asked about it."""

    settled: tuple[HistoryEntry, ...]
    """In the journal, and history and journal agree that it landed or may have."""
    doubtful: tuple[HistoryEntry, ...]
    """Unknown, or told differently: to be read."""


LANDED = frozenset(
    {
        TransactionStatus.SIGNED,
        TransactionStatus.SENT,
        TransactionStatus.CONFIRMED,
        TransactionStatus.FINALIZED,
    }
)
"""States in which the journal expects that the transaction landed, or may."""


def sort_page(entries: Sequence[HistoryEntry], known: Mapping[str, TransactionStatus]) -> Sorted:
    """Sorts finalized history by the journal's knowledge of it.

    Args:
        entries: One page.
        known: Status by signature, of those that the journal has.
    """
    settled = [
        entry for entry in entries if entry.err is None and known.get(entry.signature) in LANDED
    ]
    agreed = {entry.signature for entry in settled} | {
        entry.signature
        for entry in entries
        if entry.err is not None and known.get(entry.signature) is TransactionStatus.FAILED
    }
    return Sorted(
        tuple(settled), tuple(entry for entry in entries if entry.signature not in agreed)
    )


def root_of(paid: Sequence[Paid]) -> bytes:
    """The memo's root over leaves in any order.

    Raises:
        ValueError: A wallet is no address.
        OverflowError: An amount is no u64.
    """
    ordered = sorted(paid, key=lambda each: each.reading_id.bytes)
    return merkle_root(
        [
            leaf(each.reading_id, Pubkey.from_string(each.wallet), each.base_units)
            for each in ordered
        ]
    )


def compare(contents: Contents, paid: Sequence[Paid], mint: MintFacts) -> list[Finding]:
    """The differences between what a landed transaction minted and what it is said to pay.

    Args:
        contents: Of bytes whose signature is valid.
        paid: The journal's results, or the leaves of the journal's file.
        mint: The mint, for the addresses of token accounts.
    """
    due: Counter[Pubkey] = Counter()
    wallets: dict[Pubkey, str] = {}
    for each in paid:
        account = associated_token_address(Pubkey.from_string(each.wallet), mint)
        due[account] += each.base_units
        wallets[account] = each.wallet
    got = contents.by_account + contents.asked_by_account(due)
    findings = []
    for account in sorted(due.keys() | got.keys(), key=bytes):
        if due[account] == got[account]:
            continue
        stranger = account not in due or account not in got
        findings.append(
            Finding(
                Difference.WRONG_WALLET if stranger else Difference.WRONG_AMOUNT,
                contents.signature,
                wallets.get(account, str(account)),
                on_chain=got[account],
                in_journal=due[account],
                detail="" if account in wallets else "A token account that no result names",
            )
        )
    if not findings and (contents.memo is None or contents.memo[1] != root_of(paid)):
        findings.append(
            Finding(
                Difference.ROOT_MISMATCH,
                contents.signature,
                on_chain=contents.minted,
                in_journal=sum(due.values()),
                detail="The memo's root is not that of the readings which the journal names",
            )
        )
    return findings
