"""From payments to planned transactions: what the estimate shows and the mint does.

Network phases only; the packing itself is pure (``engine.packing``).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import partial
from uuid import UUID

import structlog

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
    associated_token_address,
    judge_token_account,
    judge_wallet_account,
)
from minting.service.terms import Terms

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


async def plan_payments(
    cluster: Cluster,
    terms: Terms,
    parts: Sequence[Sequence[MintBatchData]],
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
        parts: Readings of one batch, those of one transaction of its plan together.
        batch_id: The batch; its id is in every memo.
        max_tokens: ``BLOCKCHAIN_MAX_TOKENS_PER_TRANSACTION``.
        program_owned: Wallets that may be accounts of a program, because a person said so.
        alone: Wallets that made a landed transaction fail: each travels alone, and with its
            create instruction, since its owner may close the account again.
    """
    grouped = [group_by_wallet(part, max_tokens=max_tokens) for part in parts]
    judged = iter(
        await judge_groups(
            cluster,
            terms.mint,
            [group for groups in grouped for group in groups],
            program_owned=program_owned,
        )
    )
    found = [[next(judged) for _ in groups] for groups in grouped]
    refused = tuple(each for part in found for each in part if isinstance(each, RefusedGroup))
    paid = [[each for each in part if isinstance(each, Destination)] for part in found]
    lonely = [
        _with_create(each, terms.prices)
        for part in paid
        for each in part
        if str(each.group.wallet) in alone
    ]
    social = [[each for each in part if str(each.group.wallet) not in alone] for part in paid]
    packed = partial(pack, carrier=terms.carrier, batch_id=batch_id, max_tokens=max_tokens)
    together = [packed(part) for part in social]
    if any(len(transactions) > 1 for transactions in together):
        # Accounts, prices or format are not what they were when the batch was planned.
        together = [packed([each for part in social for each in part])]
    return Plan(
        transactions=(
            *(each for transactions in together for each in transactions),
            *packed(lonely, groups_per_transaction=1),
        ),
        refused=refused,
    )


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
) -> list[Destination | RefusedGroup]:
    """Reads each wallet and its associated token account, at ``confirmed``, and judges both.

    Returns:
        One for each group, in their order.
    """
    wallets = list(dict.fromkeys(group.wallet for group in groups))
    token_accounts = {wallet: associated_token_address(wallet, mint) for wallet in wallets}
    addresses = [*wallets, *token_accounts.values()]
    views = dict(zip(addresses, (await cluster.accounts(addresses))[0], strict=True))
    judged: list[Destination | RefusedGroup] = []
    for group in groups:
        token_account = token_accounts[group.wallet]
        try:
            judge_wallet_account(views[group.wallet], allowed=str(group.wallet) in program_owned)
            state = judge_token_account(group.wallet, views[token_account], mint)
        except WalletRefused as error:
            log.warning("wallet_refused", wallet=str(group.wallet), code=error.code)
            judged.append(RefusedGroup(group, error.code, str(error)))
        else:
            judged.append(Destination(group, token_account, state.create, state.held_lamports))
    return judged
