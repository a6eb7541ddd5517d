"""The estimate is the plan: the same planner as the mint, minting nothing.

Payments pass by in the order of wallets; what is kept of them are sums, and by group the number of
its transaction (``Deal``), so that the mint sends what was estimated.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import groupby
from typing import Any
from uuid import UUID

from solders.pubkey import Pubkey

from minting.engine.amounts import kwh_total
from minting.engine.batching import group_by_wallet
from minting.engine.errors import InsufficientFunds
from minting.engine.packing import Packer
from minting.engine.types import Cost, Group, MintBatchData, PlannedTransaction
from minting.service.chain.preflight import Standing, inspect_mint
from minting.service.chain.session import Session
from minting.service.chain.terms import Terms, terms_of
from minting.service.plan.faults import learn
from minting.service.plan.planning import RefusedGroup, judge_groups
from minting.service.plan.slices import Deal
from readings import queries

_NO_BATCH = UUID(int=0)
"""Stands where a batch's id would: the memo has the same length."""

GROUPS_AT_ONCE = 400
"""Groups looked at in one network phase: eight calls of 100 accounts, side by side."""


@dataclass(slots=True)
class Totals:
    """What would be paid."""

    readings: int = 0
    wallets: int = 0
    kwh: Decimal = Decimal(0)
    base_units: int = 0
    _last_wallet: str = ""

    def add(self, rows: Sequence[MintBatchData]) -> None:
        """Counts payments of one wallet; those of one wallet follow one another."""
        self.wallets += rows[0].wallet_address != self._last_wallet
        self._last_wallet = rows[0].wallet_address
        self.readings += len(rows)
        self.kwh = kwh_total([self.kwh, *(row.kwh_amount for row in rows)])
        self.base_units += sum(row.tokens_to_mint for row in rows)


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a mint would send and cost, in lamports, on the chain as it is now."""

    readings: int
    wallets: int
    new_accounts: int
    transactions: int
    cost: Cost
    balance: int
    """Of the mint authority, which pays."""
    floor: int
    """What the authority must keep: the rent of an empty account."""
    refused: tuple[RefusedGroup, ...]
    """Groups whose wallets the chain forbids to pay."""

    @property
    def balance_after(self) -> int:
        """What the authority would have left; negative if it has not enough."""
        return self.balance - self.cost.total

    @property
    def missing(self) -> int:
        """Lamports that the authority is short of; 0 if it can pay and keep its floor."""
        return max(0, self.floor - self.balance_after) if self.transactions else 0

    def require_affordable(self) -> None:
        """Refuses what the authority cannot pay, before anything is queued.

        Raises:
            InsufficientFunds: with what is missing.
        """
        if self.missing:
            raise InsufficientFunds(self.missing)

    def as_json(self) -> dict[str, Any]:
        """The fields of contract.md's estimate, without ``excluded``."""
        return {
            "readings": self.readings,
            "wallets": self.wallets,
            "new_accounts": self.new_accounts,
            "transactions": self.transactions,
            "network_fee_lamports": self.cost.network_fee,
            "priority_fee_lamports": self.cost.priority_fee,
            "rent_lamports": self.cost.rent,
            "total_lamports": self.cost.total,
            "authority_balance_lamports": self.balance,
            "balance_after_lamports": self.balance_after,
        }


@dataclass(frozen=True, slots=True)
class Survey:
    """What a plan costs, what it pays, and who travels where."""

    estimate: Estimate
    totals: Totals
    """Of what would be paid: without the readings of wallets whose accounts refuse it."""
    deal: Deal


def estimate_payments(session: Session, payments: Sequence[MintBatchData]) -> Estimate:
    """Plans ``payments``, in any order, on the chain as it is now.

    Raises:
        MintingRefused: wrong cluster, mint, authority or decimals.
        SolanaError: the cluster did not answer.
    """
    standing = inspect_mint(session)
    ordered = sorted(payments, key=lambda data: (data.wallet_address, data.user_id))
    return survey(session, standing, ordered).estimate


def survey(session: Session, standing: Standing, payments: Iterable[MintBatchData]) -> Survey:
    """Plans ``payments`` on the chain as it is now, a few hundred wallets at a time.

    Args:
        session: The way to the chain. No database transaction may be open.
        standing: What mint and payer are now.
        payments: In the order of wallet and user; any number.

    Raises:
        SolanaError: the cluster did not answer.
    """
    surveyor = _Surveyor(session, terms_of(session, standing), standing.lamports)
    for rows_of in _parts(payments, max_tokens=session.config.max_tokens_per_transaction):
        surveyor.look_at(rows_of)
    return surveyor.finish()


_GroupWithRows = tuple[Group, Sequence[MintBatchData]]


def _parts(payments: Iterable[MintBatchData], *, max_tokens: int) -> Iterator[list[_GroupWithRows]]:
    """Groups with their readings, a few hundred at a time."""
    part: list[_GroupWithRows] = []
    for _, together in groupby(payments, key=lambda data: (data.wallet_address, data.user_id)):
        rows = {row.reading_id: row for row in together}
        part += [
            (group, [rows[payment.reading_id] for payment in group.payments])
            for group in group_by_wallet(list(rows.values()), max_tokens=max_tokens)
        ]
        if len(part) >= GROUPS_AT_ONCE:
            yield part
            part = []
    if part:
        yield part


@dataclass(slots=True)
class _Surveyor:
    """One pass over the groups of a plan."""

    session: Session
    terms: Terms
    balance: int
    packer: Packer = field(init=False)
    deal: Deal = field(init=False)
    totals: Totals = field(default_factory=Totals)
    created: set[Pubkey] = field(default_factory=set)
    transactions: int = 0
    readings: int = 0
    cost: Cost = field(default_factory=Cost)
    refused: list[RefusedGroup] = field(default_factory=list)

    def __post_init__(self) -> None:
        max_tokens = self.session.config.max_tokens_per_transaction
        self.packer = Packer(self.terms.carrier, batch_id=_NO_BATCH, max_tokens=max_tokens)
        self.deal = Deal(max_tokens)

    def look_at(self, part: Sequence[_GroupWithRows]) -> None:
        """Judges the wallets of some groups and finds room for those that may be paid."""
        wallets = {rows[0].wallet_address for _, rows in part}
        judged = self.session.run(
            judge_groups(
                self.session.cluster,
                self.terms.mint,
                [group for group, _ in part],
                program_owned=queries.program_owned_wallets(wallets),
            )
        )
        for (_, rows), found in zip(part, judged, strict=True):
            if isinstance(found, RefusedGroup):
                self.refused.append(found)
                continue
            self.deal.note(rows[0].wallet_address, found, self.packer.add(found))
            self.totals.add(rows)
        self._price(self.packer.take_closed())

    def finish(self) -> Survey:
        """Closes the last transactions."""
        self._price(self.packer.finish())
        return Survey(
            Estimate(
                readings=self.readings,
                wallets=self.totals.wallets,
                new_accounts=len(self.created),
                transactions=self.transactions,
                cost=self.cost,
                balance=self.balance,
                floor=self.terms.floor,
                refused=tuple(self.refused),
            ),
            self.totals,
            self.deal,
        )

    def _price(self, closed: Sequence[tuple[int, PlannedTransaction]]) -> None:
        plans = [planned for _, planned in closed]
        for plan in self._with_bids(plans) if self.terms.prices.unit_price else plans:
            self.transactions += 1
            self.readings += len(plan.payments)
            self.created |= {each.token_account for each in plan.destinations if each.create}
            self.cost += plan.cost

    def _with_bids(self, plans: Sequence[PlannedTransaction]) -> Iterator[PlannedTransaction]:
        """What a bid costs depends on the limits asked for, and these on a simulation."""
        learned = self.session.run(learn(self.session, self.terms, plans))
        self.refused += [group for _, group in learned.left_out]
        for plan, simulation in learned.good:
            yield self.terms.with_bid(plan, self.terms.limits_of(simulation))
