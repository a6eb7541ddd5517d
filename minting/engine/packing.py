"""Groups to transactions: as few signatures as the format allows, and what they cost.

What a transaction can hold is counted in ``engine.loads``; here groups are dealt out to them.

**One wallet in several transactions.** The transactions of a wave land in any order, or not at all.
So every transaction that pays a missing account carries its own idempotent create instruction, and
none depends on another; the rent is counted once, with the first. The sum of a plan is exact, while
the account's rent may be taken by another of its transactions than the one that shows it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID

from solders.pubkey import Pubkey

from minting.engine.batching import READINGS_A_TRANSACTION
from minting.engine.loads import Item, Limit, Load
from minting.engine.messages import priority_fee
from minting.engine.programs.base import ReadableMintProgram, signers_of
from minting.engine.types import (
    Cost,
    Destination,
    ExecutionLimits,
    MessageVersion,
    MintFacts,
    PlannedTransaction,
)

OPEN_TRANSACTIONS = 8
"""How many unfilled transactions wait for a group that still fits them (bounded first fit)."""

GROUPS_A_TRANSACTION = 64
"""More than any format holds: its own bounds decide."""


@dataclass(frozen=True, slots=True)
class Prices:
    """What the cluster charges now, in lamports."""

    signature_fee: int
    account_rent: int
    """Rent-exempt minimum of one token account of this mint (``MintFacts.account_size``)."""
    unit_price: int = 0
    """Bid in micro-lamports per compute unit; what it costs is known once a plan is simulated."""


@dataclass(frozen=True, slots=True)
class Carrier:
    """What every transaction of a plan has in common."""

    version: MessageVersion
    mint: MintFacts
    program: ReadableMintProgram
    """How a group is minted."""
    authority: Pubkey
    prices: Prices
    payer: Pubkey | None = None
    """The fee payer, if it is not the authority: one more account and signature."""


def transaction_cost(
    destinations: Iterable[Destination],
    prices: Prices,
    limits: ExecutionLimits | None = None,
    *,
    version: MessageVersion = MessageVersion.V1,
    signatures: int = 1,
    rented: Collection[Pubkey] = (),
) -> Cost:
    """What one transaction takes from the fee payer.

    Args:
        destinations: What it pays.
        prices: What the cluster charges.
        limits: Limits once they are known; they carry the priority fee.
        version: Format; in v0 the bid is rounded to whole micro-lamports per unit.
        signatures: One per key that signs.
        rented: Token accounts whose rent another transaction of the plan counts already.
    """
    held = {
        destination.token_account: destination.held_lamports
        for destination in destinations
        if destination.create and destination.token_account not in rented
    }
    return Cost(
        network_fee=prices.signature_fee * signatures,
        priority_fee=0 if limits is None else priority_fee(limits, version),
        rent=sum(max(0, prices.account_rent - lamports) for lamports in held.values()),
    )


def total_cost(plans: Iterable[PlannedTransaction]) -> Cost:
    """The sum over a plan."""
    return sum((plan.cost for plan in plans), start=Cost())


class Packer:
    """Groups to transactions as they come, each into the first open one that has room.

    At most ``OPEN_TRANSACTIONS`` are open at once, so that any number of groups passes through
    in constant memory. The same groups in the same order always give the same plan.
    """

    def __init__(
        self,
        carrier: Carrier,
        *,
        batch_id: UUID,
        max_tokens: int,
        max_readings: int = READINGS_A_TRANSACTION,
        groups_per_transaction: int | None = None,
        rented: Collection[Pubkey] = (),
    ) -> None:
        """Nothing is packed yet.

        Args:
            carrier: What the transactions have in common.
            batch_id: The batch that asked; the memo names it.
            max_tokens: Base units that a transaction may mint; one reading above it goes alone.
            max_readings: Readings that a transaction may pay.
            groups_per_transaction: At most so many groups in one transaction, if fewer than fit.
            rented: Token accounts whose rent is counted elsewhere, though each may be created.
        """
        groups = groups_per_transaction or GROUPS_A_TRANSACTION
        self._carrier = carrier
        self._batch_id = batch_id
        self._limit = Limit(carrier.version, max_tokens, max_readings, groups)
        self._payer = carrier.payer or carrier.authority
        self._signing = signers_of(carrier.program, carrier.authority, carrier.payer)
        self._empty = Load.empty(
            carrier.version,
            self._signing,
            bids=carrier.prices.unit_price > 0,
            limits=carrier.program.units > 0,
        )
        self._opened = 0
        self._open: dict[int, Load] = {}
        self._closed: list[tuple[int, PlannedTransaction]] = []
        self._rented: set[Pubkey] = set(rented)

    def add(self, destination: Destination) -> int:
        """Finds room for a group; returns the number of its transaction, counted from 0.

        Raises:
            ValueError: For several readings above a limit in one group (``group_by_wallet``
                splits them), or a group that no transaction can hold.
        """
        _require_splittable(destination, self._limit)
        item = Item.of(
            destination,
            version=self._carrier.version,
            mint=self._carrier.mint,
            program=self._carrier.program,
            authority=self._carrier.authority,
            payer=self._payer,
            account_rent=self._carrier.prices.account_rent,
        )
        number = next(
            (number for number, load in self._open.items() if load.take(item, self._limit)), None
        )
        if number is None:
            number = self._start(item)
        if self._open[number].is_full(self._limit):
            self._close(number)
        return number

    def take_closed(self) -> list[tuple[int, PlannedTransaction]]:
        """Transactions to which nothing is added any more, with their numbers; each told once."""
        closed, self._closed = self._closed, []
        return closed

    def finish(self) -> list[tuple[int, PlannedTransaction]]:
        """Closes what is open; what was not taken yet, with the numbers."""
        for number in list(self._open):
            self._close(number)
        return self.take_closed()

    def _start(self, item: Item) -> int:
        load = self._empty.copy()
        if not load.take(item, self._limit):
            raise ValueError("one group alone is too large for a transaction")
        number, self._opened = self._opened, self._opened + 1
        self._open[number] = load
        if len(self._open) > OPEN_TRANSACTIONS:
            self._close(next(iter(self._open)))
        return number

    def _close(self, number: int) -> None:
        load, carrier = self._open.pop(number), self._carrier
        cost = transaction_cost(
            load.destinations,
            carrier.prices,
            version=carrier.version,
            signatures=len(self._signing),
            rented=self._rented,
        )
        self._rented |= load.created
        planned = PlannedTransaction(
            self._batch_id, tuple(load.destinations), carrier.version, cost
        )
        self._closed.append((number, planned))


def pack(
    destinations: Sequence[Destination],
    carrier: Carrier,
    *,
    batch_id: UUID,
    max_tokens: int,
    groups_per_transaction: int | None = None,
    rented: Collection[Pubkey] = (),
) -> list[PlannedTransaction]:
    """Packs groups that are all at hand; see ``Packer``. The plan is in the packer's order."""
    packer = Packer(
        carrier,
        batch_id=batch_id,
        max_tokens=max_tokens,
        groups_per_transaction=groups_per_transaction,
        rented=rented,
    )
    for destination in destinations:
        packer.add(destination)
    return [planned for _, planned in sorted(packer.finish(), key=lambda each: each[0])]


def _require_splittable(destination: Destination, limit: Limit) -> None:
    group = destination.group
    too_much = group.base_units > limit.max_tokens or len(group.payments) > limit.max_readings
    if too_much and len(group.payments) > 1:
        raise ValueError("a group above the limit of a transaction was not split")
