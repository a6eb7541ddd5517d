"""From payments to planned transactions: what the estimate shows and the mint does.

Network phases only; the packing itself is pure (``engine.packing``).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from uuid import UUID

import structlog
from solders.pubkey import Pubkey

from minting.cluster.nodes import Cluster
from minting.engine.batching import group_by_wallet
from minting.engine.errors import WalletRefused
from minting.engine.packing import Prices, pack
from minting.engine.types import (
    Destination,
    Group,
    MintBatchData,
    MintFacts,
    PlannedTransaction,
)
from minting.engine.wallets import (
    TokenAccountState,
    associated_token_address,
    judge_token_account,
    judge_wallet_account,
)
from minting.service.chain.terms import Terms

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class RefusedGroup:
    """A group whose wallet must not or cannot be paid."""

    group: Group
    code: str
    reason: str
    permanent: bool = True


@dataclass(frozen=True, slots=True)
class Plan:
    """What would be or will be sent, and who is left out."""

    transactions: tuple[PlannedTransaction, ...]
    refused: tuple[RefusedGroup, ...]


@dataclass(frozen=True, slots=True)
class Part:
    """Readings of one batch that are to travel together."""

    payments: Sequence[MintBatchData]
    found: Mapping[str, TokenAccountState] = field(default_factory=dict)
    """Wallets that the batch's plan judged a moment ago, and what was at their token accounts'
    addresses then. They are not looked at again here, but when the transaction is simulated."""
    rent_elsewhere: frozenset[str] = frozenset()
    """Wallets of which another transaction of the batch's plan counts the account's rent."""


async def plan_payments(
    cluster: Cluster,
    terms: Terms,
    parts: Sequence[Part],
    *,
    batch_id: UUID,
    max_tokens: int,
    program_owned: Collection[str] = (),
    alone: Collection[str] = (),
) -> Plan:
    """Groups by (user, wallet), looks at the accounts, refuses, packs.

    Args:
        cluster: Who is asked, 100 accounts at a time.
        terms: What the transactions have in common.
        parts: Readings of one batch, those of one transaction of its plan together. The plan
            holds as long as each part still fits one transaction; else all is packed anew.
        batch_id: The batch; its id is in every memo.
        max_tokens: ``BLOCKCHAIN_MAX_TOKENS_PER_TRANSACTION``.
        program_owned: Wallets that may be accounts of a program, because a person said so.
        alone: Wallets that made a landed transaction fail: each travels alone, and with its
            create instruction, since its owner may close the account again.
    """
    grouped = [group_by_wallet(part.payments, max_tokens=max_tokens) for part in parts]
    judged = {
        Pubkey.from_string(wallet): state for part in parts for wallet, state in part.found.items()
    }
    states = iter(
        await judge_groups(
            cluster,
            terms.mint,
            [group for groups in grouped for group in groups],
            program_owned=program_owned,
            judged=judged,
        )
    )
    found = [[next(states) for _ in groups] for groups in grouped]
    refused = tuple(each for part in found for each in part if isinstance(each, RefusedGroup))
    paid = [[each for each in part if isinstance(each, Destination)] for part in found]
    social = [[each for each in part if str(each.group.wallet) not in alone] for part in paid]
    lonely = [
        _with_create(each, terms.prices)
        for part in paid
        for each in part
        if str(each.group.wallet) in alone
    ]
    packing = _Packing(terms, batch_id, max_tokens)
    together = [packing.pack(part, parts[n].rent_elsewhere) for n, part in enumerate(social)]
    if any(len(transactions) > 1 for transactions in together):
        # Accounts, prices or format are not what they were when the batch was planned.
        packing = _Packing(terms, batch_id, max_tokens)
        everybody = [each for part in social for each in part]
        together = [packing.pack(everybody, _rent_elsewhere(parts))]
    return Plan(
        transactions=(
            *(each for transactions in together for each in transactions),
            *packing.pack(lonely, _rent_elsewhere(parts), groups_per_transaction=1),
        ),
        refused=refused,
    )


@dataclass(slots=True)
class _Packing:
    """Several packings of one plan: each account's rent is counted in the first that creates it."""

    terms: Terms
    batch_id: UUID
    max_tokens: int
    rented: set[Pubkey] = field(default_factory=set)

    def pack(
        self,
        destinations: Sequence[Destination],
        rent_elsewhere: Collection[str],
        *,
        groups_per_transaction: int | None = None,
    ) -> list[PlannedTransaction]:
        elsewhere = {
            each.token_account for each in destinations if str(each.group.wallet) in rent_elsewhere
        }
        packed = pack(
            destinations,
            self.terms.carrier,
            batch_id=self.batch_id,
            max_tokens=self.max_tokens,
            groups_per_transaction=groups_per_transaction,
            rented=self.rented | elsewhere,
        )
        self.rented |= {each.token_account for each in destinations if each.create} - elsewhere
        return packed


def _rent_elsewhere(parts: Sequence[Part]) -> frozenset[str]:
    """Wallets of which none of these parts counts the rent."""
    here = {
        payment.wallet_address
        for part in parts
        for payment in part.payments
        if payment.wallet_address not in part.rent_elsewhere
    }
    return frozenset(wallet for part in parts for wallet in part.rent_elsewhere) - here


def _with_create(destination: Destination, prices: Prices) -> Destination:
    """With its idempotent create instruction; where the account exists that costs no rent."""
    if destination.create:
        return destination
    return replace(destination, create=True, held_lamports=prices.account_rent)


async def judge_groups(
    cluster: Cluster,
    mint: MintFacts,
    groups: Sequence[Group],
    *,
    program_owned: Collection[str] = (),
    judged: Mapping[Pubkey, TokenAccountState] = MappingProxyType({}),
) -> list[Destination | RefusedGroup]:
    """Reads each wallet and its associated token account, at ``confirmed``, and judges both.

    Args:
        cluster: Who is asked, 100 accounts at a time.
        mint: The mint that pays.
        groups: Whom it pays.
        program_owned: Wallets that may be accounts of a program.
        judged: Wallets that were judged a moment ago, with what was found; they are not read.

    Returns:
        One for each group, in their order.
    """
    wallets = dict.fromkeys(group.wallet for group in groups if group.wallet not in judged)
    addresses = [*wallets, *(associated_token_address(wallet, mint) for wallet in wallets)]
    views = dict(zip(addresses, (await cluster.accounts(addresses))[0], strict=True))
    states: list[Destination | RefusedGroup] = []
    for group in groups:
        token_account = associated_token_address(group.wallet, mint)
        try:
            state = judged.get(group.wallet)
            if state is None:
                allowed = str(group.wallet) in program_owned
                judge_wallet_account(views[group.wallet], allowed=allowed)
                state = judge_token_account(group.wallet, views[token_account], mint)
        except WalletRefused as error:
            log.warning("wallet_refused", wallet=str(group.wallet), code=error.code)
            states.append(RefusedGroup(group, error.code, str(error)))
        else:
            states.append(Destination(group, token_account, state.create, state.held_lamports))
    return states
