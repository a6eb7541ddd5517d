"""From payments to planned transactions: what the estimate shows and the mint does.

Network phases only; the packing itself is pure (``engine.packing``).
"""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from uuid import UUID

import structlog
from solders.hash import Hash
from solders.message import MessageV0, to_bytes_versioned
from solders.pubkey import Pubkey

from minting.cluster.nodes import Cluster
from minting.conf import MintingConfig
from minting.engine.batching import group_by_wallet
from minting.engine.errors import WalletRefused
from minting.engine.instructions import memo
from minting.engine.packing import Prices, pack
from minting.engine.programs.base import ReadableMintProgram
from minting.engine.programs.spl_token import SplTokenProgram
from minting.engine.types import (
    Destination,
    Group,
    MessageVersion,
    MintBatchData,
    MintFacts,
    PlannedTransaction,
)
from minting.engine.wallets import (
    associated_token_address,
    judge_token_account,
    judge_wallet_account,
)

log = structlog.get_logger(__name__)

GROUPS_A_TRANSACTION = 64
"""More than any format holds: the packer's own bounds decide (``engine.packing``)."""


VERSION_KEPT = 600.0
"""Seconds for which the answer to "v1?" is believed."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What every transaction of a run has in common."""

    mint: MintFacts
    program: ReadableMintProgram
    authority: Pubkey
    version: MessageVersion
    prices: Prices
    unit_price: int
    """Bid in micro-lamports per compute unit."""
    max_priority_fee: int
    floor: int
    """Rent of an empty account, that the payer must keep."""


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


async def learn_terms(cluster: Cluster, config: MintingConfig, mint: MintFacts) -> Terms:
    """Asks what transactions look like and cost now.

    Raises:
        SolanaError: the cluster did not say.
    """
    authority = config.need_authority()
    version = await _version(cluster, config, authority)
    unit_price = config.priority_fee
    if unit_price is None:
        fees = await cluster.recent_priority_fees([mint.address, authority])
        unit_price = median(fees)
    prices = Prices(
        signature_fee=await _signature_fee(cluster, authority),
        account_rent=await cluster.rent(mint.account_size),
    )
    return Terms(
        mint=mint,
        program=SplTokenProgram(),
        authority=authority,
        version=version,
        prices=prices,
        unit_price=unit_price,
        max_priority_fee=config.max_priority_fee,
        floor=await cluster.rent(0),
    )


def median(fees: Sequence[int]) -> int:
    """The middle of recent bids; 0 where nobody bids."""
    return sorted(fees)[len(fees) // 2] if fees else 0


async def plan_payments(
    cluster: Cluster,
    terms: Terms,
    payments: Sequence[MintBatchData],
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
        payments: Readings of one batch.
        batch_id: The batch; its id is in every memo.
        max_tokens: ``BLOCKCHAIN_MAX_TOKENS_PER_TRANSACTION``.
        program_owned: Wallets that may be accounts of a program, because a person said so.
        alone: Wallets that made a landed transaction fail: each travels alone, and with its
            create instruction, since its owner may close the account again.
    """
    groups = group_by_wallet(payments, max_tokens=max_tokens)
    destinations, refused = await find_destinations(
        cluster, terms.mint, groups, program_owned=program_owned
    )
    lonely = [
        _with_create(each, terms.prices) for each in destinations if str(each.group.wallet) in alone
    ]
    social = [each for each in destinations if str(each.group.wallet) not in alone]
    transactions = [
        plan
        for part, groups_together in ((social, GROUPS_A_TRANSACTION), (lonely, 1))
        for plan in pack(
            part,
            batch_id=batch_id,
            version=terms.version,
            max_tokens=max_tokens,
            groups_per_transaction=groups_together,
            mint=terms.mint,
            program=terms.program,
            authority=terms.authority,
            prices=terms.prices,
        )
    ]
    return Plan(transactions=tuple(transactions), refused=tuple(refused))


def _with_create(destination: Destination, prices: Prices) -> Destination:
    """With its idempotent create instruction; where the account exists that costs no rent."""
    if destination.create:
        return destination
    return replace(destination, create=True, held_lamports=prices.account_rent)


async def find_destinations(
    cluster: Cluster,
    mint: MintFacts,
    groups: Sequence[Group],
    *,
    program_owned: Collection[str] = (),
) -> tuple[list[Destination], list[RefusedGroup]]:
    """Reads each wallet and its associated token account, at ``confirmed``, and judges both."""
    wallets = list(dict.fromkeys(group.wallet for group in groups))
    token_accounts = {wallet: associated_token_address(wallet, mint) for wallet in wallets}
    addresses = [*wallets, *token_accounts.values()]
    views = dict(zip(addresses, (await cluster.accounts(addresses))[0], strict=True))
    destinations: list[Destination] = []
    refused: list[RefusedGroup] = []
    for group in groups:
        token_account = token_accounts[group.wallet]
        try:
            judge_wallet_account(views[group.wallet], allowed=str(group.wallet) in program_owned)
            state = judge_token_account(group.wallet, views[token_account], mint)
        except WalletRefused as error:
            log.warning("wallet_refused", wallet=str(group.wallet), code=error.code)
            refused.append(RefusedGroup(group, error.code, str(error)))
        else:
            destinations.append(
                Destination(group, token_account, state.create, state.held_lamports)
            )
    return destinations, refused


async def _signature_fee(cluster: Cluster, authority: Pubkey) -> int:
    """Lamports of one signature, asked with the smallest message that has one."""
    blockhash = await cluster.latest_blockhash()
    message = MessageV0.try_compile(authority, [memo("?")], [], Hash.from_string(blockhash.value))
    return await cluster.fee_for_message(to_bytes_versioned(message))


@dataclass(slots=True)
class _VersionAnswer:
    """Whether a cluster took v1, and until when that is believed (monotonic seconds)."""

    takes_v1: bool
    until: float


_answers: dict[tuple[str, ...], _VersionAnswer] = {}
"""By the nodes asked; kept by the process, since every task would ask the same."""


def forget_v1(config: MintingConfig) -> None:
    """These nodes do not take v1 after all: ``auto`` means v0 for as long as an answer is kept."""
    _answers[config.rpc_urls] = _VersionAnswer(
        takes_v1=False, until=time.monotonic() + VERSION_KEPT
    )


async def _version(cluster: Cluster, config: MintingConfig, authority: Pubkey) -> MessageVersion:
    if config.transaction_version != "auto":
        return MessageVersion(config.transaction_version)
    answer = _answers.get(config.rpc_urls)
    if answer is None or answer.until < time.monotonic():
        takes_v1 = await cluster.supports_v1(authority)
        answer = _VersionAnswer(takes_v1, time.monotonic() + VERSION_KEPT)
        _answers[config.rpc_urls] = answer
    return MessageVersion.V1 if answer.takes_v1 else MessageVersion.V0
