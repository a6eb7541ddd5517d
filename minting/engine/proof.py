"""A journalled transaction beside what a node keeps of it, point by point.

Pure: the journal's row and results and a node's answer come in, points come out. Nothing is
corrected or concluded here; reconciliation (``engine.audit``) does that for all of the journal.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from uuid import UUID

from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction

from minting.engine.audit import Contents, Paid, read_transaction, root_of
from minting.engine.states import TransactionStatus
from minting.engine.types import Commitment, LandedTransaction
from minting.engine.wallets import derived_token_address

NOTHING = "-"


@dataclass(frozen=True, slots=True)
class PaidResult:
    """A result that says it is paid by the transaction."""

    reading_id: UUID
    wallet: str
    base_units: int
    kwh: Decimal
    reading_kwh: Decimal
    """As the reading has it."""
    signature: str
    slot: int | None


@dataclass(frozen=True, slots=True)
class Journalled:
    """What the journal says of one transaction; lamports and base units."""

    signature: str
    raw: bytes
    status: TransactionStatus
    genesis_hash: str
    mint: str
    read_as: str
    """The mint whose mints are looked for: that one, or the installation's where there is none."""
    token_program: str
    authority: str
    fee_payer: str
    blockhash: str
    version: str
    """Of its message: ``0`` or ``1``."""
    batch_ids: tuple[UUID, ...]
    """That the memo may name: its batch, and the one that this is a retry of (an adopted one)."""
    memo_root: bytes
    reading_ids: tuple[UUID, ...]
    base_units: int
    fee: int
    """Network and priority fee."""
    rent: int
    slot: int | None
    error: object | None
    paid: tuple[PaidResult, ...]

    @property
    def landed(self) -> bool:
        """Whether the journal says that it minted."""
        return self.status in (TransactionStatus.CONFIRMED, TransactionStatus.FINALIZED)


@dataclass(frozen=True, slots=True)
class Kept:
    """What the chain keeps of it, and how sure that is."""

    landed: LandedTransaction
    contents: Contents
    commitment: Commitment
    genesis_hash: str
    mints_told: bool = True
    """Whether what was minted can be known: a node may not keep what programs called."""


@dataclass(frozen=True, slots=True)
class Point:
    """One point, as each side says it."""

    name: str
    journal: str
    chain: str
    agrees: bool | None
    """``None``: one side says nothing."""


class Verdict(StrEnum):
    """What the points come to."""

    AGREES = "agrees"
    PROVISIONAL = "provisional"
    """It agrees, and is confirmed only."""
    DIFFERS = "differs"
    OPEN = "open"
    """Not decided yet, or not to be decided by this node."""


@dataclass(frozen=True, slots=True)
class Proof:
    """All points, and the sentence on top."""

    verdict: Verdict
    sentence: str
    points: Sequence[Point]


def prove(row: Journalled, kept: Kept | None, *, oldest_block: int | None = None) -> Proof:
    """Compares a transaction of the journal with what a node answered about it.

    Args:
        row: The journal's side.
        kept: The chain's; ``None`` where the node does not know it, which proves nothing.
        oldest_block: The oldest that the node still has, where it was asked.
    """
    points = [*_own_points(row), *(_chain_points(row, kept) if kept else ())]
    differing = sum(point.agrees is False for point in points)
    if differing:
        return Proof(Verdict.DIFFERS, f"{_points(differing)} red below.", points)
    if kept is None:
        return Proof(*_absent(row, oldest_block), points)
    return Proof(*_present(row, kept), points)


def _points(count: int) -> str:
    return "One point is" if count == 1 else f"{count} points are"


def _absent(row: Journalled, oldest_block: int | None) -> tuple[Verdict, str]:
    """What it means that no node knows it."""
    if row.status is TransactionStatus.EXPIRED:
        return Verdict.AGREES, "It never landed: proven dead in the journal, not on the chain."
    if row.slot is not None and oldest_block is not None and row.slot < oldest_block:
        return (
            Verdict.OPEN,
            f"The node keeps nothing older than block {oldest_block:,}: ask another.",
        )
    if row.landed or row.status is TransactionStatus.FAILED:
        return (
            Verdict.DIFFERS,
            f"The journal says {row.status.value}, and the node does not have it. Reconcile.",
        )
    return (
        Verdict.OPEN,
        "The node does not know it, which proves nothing: recovery looks every minute.",
    )


def _present(row: Journalled, kept: Kept) -> tuple[Verdict, str]:
    """What it means that all points agree."""
    if kept.commitment is not Commitment.FINALIZED:
        return (
            Verdict.PROVISIONAL,
            "The chain says the same, provisionally: it is confirmed and not finalized yet.",
        )
    if not kept.mints_told:
        return Verdict.OPEN, "The node does not keep what programs called: the mints are not told."
    if row.landed:
        return Verdict.AGREES, "The chain says the same in every point, finally."
    if row.status is TransactionStatus.FAILED:
        return Verdict.AGREES, "It landed with this error and minted nothing, as the journal says."
    return Verdict.OPEN, "It landed, and the journal is about to note it: recovery looks soon."


def _own_points(row: Journalled) -> Iterator[Point]:
    """The journal beside its own bytes and results; no chain is needed."""
    try:
        own = read_transaction(row.raw, Pubkey.from_string(row.read_as), called=None)
    except ValueError as error:
        yield Point("Stored bytes", "a transaction", str(error), agrees=False)
    else:
        yield Point(
            "Signature of the stored bytes",
            row.signature,
            own.signature if own.signed else "not valid for these bytes",
            own.signed and own.signature == row.signature,
        )
        decoded = VersionedTransaction.from_bytes(row.raw)
        yield _same("Blockhash", row.blockhash, str(decoded.message.recent_blockhash))
        yield _same("Format", row.version, str(decoded.version()))
    named, told = set(row.reading_ids), {each.reading_id for each in row.paid}
    yield Point(
        "Readings it pays",
        f"{len(named):,} in the transaction",
        f"{len(told):,} results" if named == told else f"{len(told):,} results, of other readings",
        named == told,
    )
    yield _same(
        "Energy of results and readings",
        f"{_kwh(each.kwh for each in row.paid)} in results",
        f"{_kwh(each.reading_kwh for each in row.paid)} in readings",
        agrees=all(each.kwh == each.reading_kwh for each in row.paid),
    )
    if row.landed:
        final = row.status is TransactionStatus.FINALIZED
        # With SOLANA_COMMITMENT=finalized results name neither before that.
        naming = [each for each in row.paid if final or each.signature or each.slot is not None]
        agrees = all((each.signature, each.slot) == (row.signature, row.slot) for each in naming)
        yield _same(
            "Results name signature and slot",
            "all of them" if agrees else "not all of them",
            "all of them",
            agrees=agrees,
        )


def _same(name: str, journal: str, chain: str, *, agrees: bool | None = None) -> Point:
    """A point that agrees where its sides are written alike, unless told otherwise."""
    return Point(name, journal, chain, journal == chain if agrees is None else agrees)


def _chain_points(row: Journalled, kept: Kept) -> Iterator[Point]:
    landed, contents = kept.landed, kept.contents
    yield _same("Cluster (genesis hash)", row.genesis_hash, kept.genesis_hash)
    yield _same(
        "Signature on chain",
        row.signature,
        contents.signature if contents.signed else "not valid for its bytes",
    )
    yield _same(
        "Bytes",
        f"{len(row.raw):,} stored",
        f"{len(landed.raw):,} on chain, {'the same' if landed.raw == row.raw else 'others'}",
        agrees=landed.raw == row.raw,
    )
    yield _beside("Slot", _number(row.slot), _number(landed.slot), known=row.slot is not None)
    yield from _ending(row, landed)
    yield _beside(
        "Fee", _lamports(row.fee), _lamports(landed.fee), known=row.landed or landed.err is not None
    )
    yield _same("Fee payer", row.fee_payer, str(contents.fee_payer))
    yield _rent(row, landed)
    yield from _memo(row, contents)
    yield from _amounts(row, kept)


def _ending(row: Journalled, landed: LandedTransaction) -> Iterator[Point]:
    says = "none" if row.error is None else str(row.error)
    chain = "none" if landed.err is None else str(landed.err)
    # What is not settled yet has noted no error; an ended one has.
    open_yet = not row.landed and row.status is not TransactionStatus.FAILED
    dead = row.status is TransactionStatus.EXPIRED
    yield _beside("Error it landed with", says, chain, known=not open_yet)
    if dead:
        yield Point("Whether it landed", "proven dead", "landed", agrees=False)


def _rent(row: Journalled, landed: LandedTransaction) -> Point:
    """What the fee payer spent besides the fee is the rent of accounts that were opened."""
    spent = landed.pre_balances[0] - landed.post_balances[0] - landed.fee
    due = row.rent if landed.err is None else 0
    return _beside("Rent", _lamports(due), _lamports(spent), known=row.landed or due == 0)


def _memo(row: Journalled, contents: Contents) -> Iterator[Point]:
    batch_id, root = contents.memo or (None, b"")
    yield Point(
        "Batch in the memo",
        str(batch_id if batch_id in row.batch_ids else row.batch_ids[0]),
        str(batch_id or "no memo of ours"),
        batch_id in row.batch_ids,
    )
    try:
        counted = root_of(
            [Paid(each.reading_id, each.wallet, each.base_units) for each in row.paid]
        )
    except (ValueError, OverflowError) as error:
        yield Point("Root of the readings listed", str(error), root.hex(), agrees=False)
    else:
        yield _same("Root of the readings listed", counted.hex(), root.hex())
    yield _same("Root that the journal keeps", row.memo_root.hex(), root.hex())


def _amounts(row: Journalled, kept: Kept) -> Iterator[Point]:
    """Each token account, the sum, and who minted; of an errored one: nothing."""
    told, contents = kept.mints_told, kept.contents
    yield _same("Mint", row.mint, row.read_as)
    if kept.landed.err is not None:
        yield Point("Minted", "nothing", "nothing: it landed with an error", not row.landed)
        return
    yield _beside("Base units minted", f"{row.base_units:,}", f"{contents.minted:,}", known=told)
    authorities = ", ".join(sorted({str(each.authority) for each in contents.mints}))
    yield _beside("Minted by", row.authority, authorities or NOTHING, known=told)
    due, wallets = _due(row)
    got = contents.by_account
    for account in sorted(due.keys() | got.keys(), key=bytes):
        whose = f", of {wallets[account]}" if account in wallets else ", which no result names"
        yield _beside(
            f"To {account}{whose}",
            f"{due[account]:,} base units",
            f"{got[account]:,} base units",
            known=told,
        )


def _due(row: Journalled) -> tuple[Counter[Pubkey], dict[Pubkey, str]]:
    """Base units by token account, as the results say, and each account's wallet."""
    mint, program = Pubkey.from_string(row.read_as), Pubkey.from_string(row.token_program)
    due: Counter[Pubkey] = Counter()
    wallets: dict[Pubkey, str] = {}
    for each in row.paid:
        try:
            wallet = Pubkey.from_string(each.wallet)
        except ValueError:
            continue  # no address: the root's point is red for it, and so is whoever was paid
        account = derived_token_address(wallet, mint, program)
        due[account] += each.base_units
        wallets[account] = each.wallet
    return due, wallets


def _beside(name: str, journal: str, chain: str, *, known: bool) -> Point:
    """A point that is compared only where both sides know."""
    return Point(name, journal, chain, journal == chain if known else None)


def _kwh(amounts: Iterable[Decimal]) -> str:
    return f"{sum(amounts, Decimal(0)).normalize():f} kWh"


def _number(value: int | None) -> str:
    return NOTHING if value is None else f"{value:,}"


def _lamports(value: int) -> str:
    return f"{value:,} lamports"
