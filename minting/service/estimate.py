"""The estimate is the plan: the same planner as the mint, minting nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from minting.engine.packing import total_cost
from minting.engine.types import Cost, MintBatchData, MintFacts
from minting.service.planning import RefusedGroup, learn_terms, plan_payments
from minting.service.preflight import inspect_mint
from minting.service.session import Session
from minting.service.slices import cut_slices

_NO_BATCH = UUID(int=0)
"""Stands where a batch's id would: the memo has the same length."""


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
    refused: tuple[RefusedGroup, ...]
    """Groups whose wallets the chain forbids to pay."""

    @property
    def balance_after(self) -> int:
        """What the authority would have left; negative if it has not enough."""
        return self.balance - self.cost.total

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


def estimate_payments(session: Session, payments: Sequence[MintBatchData]) -> Estimate:
    """Plans ``payments`` on the chain as it is now.

    Raises:
        MintingRefused: wrong cluster, mint, authority or decimals.
        SolanaError: the cluster did not answer.
    """
    _, facts = inspect_mint(session)
    return session.run(_estimate(session, facts, payments))


async def _estimate(
    session: Session, facts: MintFacts, payments: Sequence[MintBatchData]
) -> Estimate:
    config = session.config
    terms = await learn_terms(session.cluster, config, facts)
    plans = [
        await plan_payments(
            session.cluster,
            terms,
            part,
            batch_id=_NO_BATCH,
            max_tokens=config.max_tokens_per_transaction,
        )
        for part in cut_slices(payments)
    ]
    transactions = [each for plan in plans for each in plan.transactions]
    balance, _ = await session.cluster.balance(terms.authority)
    paid = [each for tx in transactions for each in tx.destinations]
    return Estimate(
        readings=sum(len(each.group.payments) for each in paid),
        wallets=len({each.group.wallet for each in paid}),
        new_accounts=len({each.token_account for each in paid if each.create}),
        transactions=len(transactions),
        cost=total_cost(transactions),
        balance=balance,
        refused=tuple(group for plan in plans for group in plan.refused),
    )
