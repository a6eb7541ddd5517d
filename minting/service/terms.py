"""What all transactions of a run have in common: asked of the cluster, believed for a while."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from solders.hash import Hash
from solders.message import MessageV0, to_bytes_versioned
from solders.pubkey import Pubkey

from minting.cluster.nodes import Cluster
from minting.conf import MintingConfig
from minting.engine.instructions import memo
from minting.engine.messages import limits_from, priority_fee
from minting.engine.packing import Carrier, Prices
from minting.engine.programs.base import ReadableMintProgram
from minting.engine.programs.spl_token import SplTokenProgram
from minting.engine.types import (
    ExecutionLimits,
    MessageVersion,
    MintFacts,
    PlannedTransaction,
    Simulation,
)

VERSION_KEPT = 600.0
"""Seconds for which the answer to "v1?" is believed."""


PRICES_KEPT = 30.0
"""Seconds for which fee and rents are not asked again; a bid is asked for every time."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What every transaction of a run has in common."""

    carrier: Carrier
    max_priority_fee: int
    """Cap in lamports of one transaction."""
    floor: int
    """Rent of an empty account, that the payer must keep."""

    @property
    def mint(self) -> MintFacts:
        """The mint that pays."""
        return self.carrier.mint

    @property
    def program(self) -> ReadableMintProgram:
        """How a group is minted."""
        return self.carrier.program

    @property
    def authority(self) -> Pubkey:
        """The mint authority, which pays."""
        return self.carrier.authority

    @property
    def version(self) -> MessageVersion:
        """The transactions' format."""
        return self.carrier.version

    @property
    def prices(self) -> Prices:
        """What the cluster charges."""
        return self.carrier.prices

    def limits_of(self, simulation: Simulation) -> ExecutionLimits:
        """What a transaction asks of the block, its bid included, after its simulation."""
        return limits_from(
            simulation,
            unit_price=self.prices.unit_price,
            max_priority_fee=self.max_priority_fee,
        )

    def with_bid(self, plan: PlannedTransaction, limits: ExecutionLimits) -> PlannedTransaction:
        """The plan with what its bid costs.

        Its rent stays as planned: an account that several transactions may create is counted once.
        """
        bid = priority_fee(limits, plan.version)
        return replace(plan, cost=replace(plan.cost, priority_fee=bid))


async def learn_terms(cluster: Cluster, config: MintingConfig, mint: MintFacts) -> Terms:
    """Asks what transactions look like and cost now.

    Raises:
        SolanaError: the cluster did not say.
    """
    authority = config.need_authority()
    version, unit_price, (signature_fee, account_rent, floor) = await asyncio.gather(
        _version(cluster, config, authority),
        _unit_price(cluster, config, mint.address, authority),
        _prices(cluster, config, mint.account_size, authority),
    )
    return Terms(
        carrier=Carrier(
            version=version,
            mint=mint,
            program=SplTokenProgram(),
            authority=authority,
            prices=Prices(signature_fee, account_rent, unit_price),
        ),
        max_priority_fee=config.max_priority_fee,
        floor=floor,
    )


def median(fees: Sequence[int]) -> int:
    """The middle of recent bids; 0 where nobody bids."""
    return sorted(fees)[len(fees) // 2] if fees else 0


_kept_prices: dict[tuple[tuple[str, ...], int], tuple[float, tuple[int, int, int]]] = {}
"""By nodes and size of an account: until when (monotonic seconds) they are believed, and what."""


async def _prices(
    cluster: Cluster, config: MintingConfig, account_size: int, authority: Pubkey
) -> tuple[int, int, int]:
    """Lamports of one signature, rent of a token account, rent of an empty account."""
    until, prices = _kept_prices.get((config.rpc_urls, account_size), (0.0, (0, 0, 0)))
    if until < time.monotonic():
        prices = await asyncio.gather(
            _signature_fee(cluster, authority), cluster.rent(account_size), cluster.rent(0)
        )
        _kept_prices[config.rpc_urls, account_size] = time.monotonic() + PRICES_KEPT, prices
    return prices


async def _unit_price(
    cluster: Cluster, config: MintingConfig, mint: Pubkey, authority: Pubkey
) -> int:
    """The bid: as set, or what others bid lately for the same accounts."""
    if config.priority_fee is not None:
        return config.priority_fee
    return median(await cluster.recent_priority_fees([mint, authority]))


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


async def _version(cluster: Cluster, config: MintingConfig, authority: Pubkey) -> MessageVersion:
    if config.transaction_version != "auto":
        return MessageVersion(config.transaction_version)
    answer = _answers.get(config.rpc_urls)
    if answer is None or answer.until < time.monotonic():
        takes_v1 = await cluster.supports_v1(authority)
        answer = _VersionAnswer(takes_v1, time.monotonic() + VERSION_KEPT)
        _answers[config.rpc_urls] = answer
    return MessageVersion.V1 if answer.takes_v1 else MessageVersion.V0
