"""What all transactions of a run have in common: asked of the cluster, believed for a while."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import structlog
from solders.hash import Hash
from solders.message import MessageV0, to_bytes_versioned
from solders.pubkey import Pubkey

from minting.cluster.nodes import Cluster
from minting.conf import MintingConfig
from minting.engine.instructions import memo
from minting.engine.messages import limits_from, priority_fee
from minting.engine.packing import Carrier, Prices
from minting.engine.programs.base import ReadableMintProgram
from minting.engine.types import (
    ExecutionLimits,
    MessageVersion,
    MintFacts,
    PlannedTransaction,
    Simulation,
)
from minting.service.chain.program import measured
from minting.service.chain.session import Session

log = structlog.get_logger(__name__)

VERSION_KEPT = 600.0
"""Seconds for which the answer to "v1?" is believed."""


TERMS_KEPT = 30.0
"""Seconds for which prices, bids and format are not asked again."""


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


@dataclass(frozen=True, slots=True)
class _Kept:
    terms: Terms
    until: float
    """Monotonic seconds."""


_kept: dict[tuple[object, ...], _Kept] = {}
"""By everything that terms depend on but for the chain. Kept by the process, so that tasks which
follow one another in a worker do not each ask for them."""


def terms_of(session: Session, mint: MintFacts) -> Terms:
    """The terms for a mint as it was just read.

    Raises:
        SolanaError: the cluster did not say.
    """
    key = _key(session.config)
    kept = _kept.get(key)
    if kept is None or kept.until < time.monotonic():
        terms = session.run(_learn(session.cluster, session.config, mint))
        kept = _kept[key] = _Kept(terms, time.monotonic() + TERMS_KEPT)
    return replace(kept.terms, carrier=replace(kept.terms.carrier, mint=mint))


def forget_v1(config: MintingConfig) -> bool:
    """A node refused the format: what is planned from now on is v0, for a while.

    Returns:
        Whether that changes anything: the format is ours to choose (``auto``).
    """
    if config.transaction_version != "auto":
        return False
    log.warning("v1_refused", kept=VERSION_KEPT)
    _answers[config.rpc_urls] = _VersionAnswer(
        takes_v1=False, until=time.monotonic() + VERSION_KEPT
    )
    forget_terms(config)
    return True


def forget_terms(config: MintingConfig) -> None:
    """Asks anew at the next wave: prices, bids and format are not what they were."""
    _kept.pop(_key(config), None)


def _key(config: MintingConfig) -> tuple[object, ...]:
    return (
        config.rpc_urls,
        config.mint_address,
        config.authority_address,
        config.program and config.program.key,
        config.transaction_version,
        config.priority_fee,
        config.max_priority_fee,
    )


async def _learn(cluster: Cluster, config: MintingConfig, mint: MintFacts) -> Terms:
    authority = config.need_authority()
    program = await measured(cluster, config, mint)
    version, unit_price, signature_fee, account_rent, floor = await asyncio.gather(
        _version(cluster, config, authority),
        _unit_price(cluster, config, mint.address, authority),
        _signature_fee(cluster, authority),
        cluster.rent(mint.account_size),
        cluster.rent(0),
    )
    return Terms(
        carrier=Carrier(
            version=version,
            mint=mint,
            program=program,
            authority=authority,
            prices=Prices(signature_fee, account_rent, unit_price),
        ),
        max_priority_fee=config.max_priority_fee,
        floor=floor,
    )


def median(fees: Sequence[int]) -> int:
    """The middle of recent bids; 0 where nobody bids."""
    return sorted(fees)[len(fees) // 2] if fees else 0


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
