"""What all transactions of a run have in common: asked of the cluster, believed for a while.

Asked by whichever process needs it first, and known to all of them (``answers``). A price that
changed meanwhile is never signed for: a wave compares what it recalled with what its simulations
show, and a bid is bounded by the bytes that carry it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import structlog
from solders.hash import Hash
from solders.message import MessageV0, to_bytes_versioned
from solders.pubkey import Pubkey

from minting.cluster.concurrency import together
from minting.cluster.nodes import Cluster
from minting.conf import MintingConfig
from minting.engine.errors import FormatRefused, PricesChanged
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
from minting.models import Question
from minting.service.chain import answers
from minting.service.chain.answers import Answer, Answers
from minting.service.chain.preflight import Standing
from minting.service.chain.program import measured
from minting.service.chain.session import Session

log = structlog.get_logger(__name__)

VERSION_KEPT = 600.0
"""Seconds for which the answer to "v1?" is believed."""

PRICES_KEPT = 600.0
"""Seconds for which prices are believed, but never beyond the epoch in which they were asked:
features that change them become active between two epochs (SIMD-0437, rent)."""

BID_KEPT = 30.0
"""Seconds for which what others bid is believed; and prices, if nobody says when the epoch ends."""

PACE_KEPT = 86_400.0
"""Seconds for which new processes begin with what others saw of the chain's pace."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What every transaction of a run has in common."""

    carrier: Carrier
    max_priority_fee: int
    """Cap in lamports of one transaction."""
    floor: int
    """Rent of an empty account, that the payer must keep."""
    recalled: bool = False
    """Whether the prices were asked earlier, perhaps by another process: then a wave compares them
    with what its simulations show."""

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


def terms_of(session: Session, standing: Standing) -> Terms:
    """The terms for a mint as it was just read; what is not known to any process is asked.

    Raises:
        SolanaError: The cluster did not say.
    """
    config, mint = session.config, standing.facts
    authority = config.need_authority()
    believed = answers.recall(session)
    asked = _Asked(config, mint, authority, believed, slot=standing.slot)
    answers.keep(session, *session.run(asked.missing(session.cluster)))
    prices = asked.prices
    session.heights.heard(prices["slot"], prices["block_height"])
    if (usual := believed.get(Question.PACE)) is not None:
        session.pace.heard(usual)
    return Terms(
        carrier=Carrier(
            version=asked.version,
            mint=mint,
            program=session.run(measured(session.cluster, config, mint)),
            authority=authority,
            prices=Prices(prices["signature_fee"], prices["account_rent"], asked.bid),
        ),
        max_priority_fee=config.max_priority_fee,
        floor=prices["floor"],
        recalled=asked.recalled,
    )


def renew_terms(session: Session, old: FormatRefused | PricesChanged) -> bool:
    """Whether the next plan is on other terms than these, which do not hold any more."""
    if isinstance(old, FormatRefused):
        return forget_v1(session)
    log.warning("prices_changed", reason=str(old))
    forget_terms(session)
    return True


def forget_v1(session: Session) -> bool:
    """A node refused the format: what any process plans from now on is v0, for a while.

    Returns:
        Whether that changes anything: the format is ours to choose (``auto``).
    """
    if session.config.transaction_version != "auto":
        return False
    log.warning("v1_refused", kept=VERSION_KEPT)
    # Beside the answer and not over it: who asked meanwhile must not unsay it.
    answers.keep(session, Answer(Question.V1_REFUSED, value=True, seconds=VERSION_KEPT))
    return True


def forget_terms(session: Session) -> None:
    """Asks anew at the next wave: prices and bids are not what they were."""
    answers.forget(session, Question.PRICES, Question.BID)


def tell_pace(session: Session) -> None:
    """What was learned here of when transactions land, for processes that have seen none."""
    pace = session.pace
    if pace.is_news:
        answers.keep(session, Answer(Question.PACE, round(pace.usual, 3), PACE_KEPT))
        pace.told = pace.usual


@dataclass(slots=True)
class _Asked:
    """What terms are made of: what is believed, and then what was missing of it."""

    config: MintingConfig
    mint: MintFacts
    authority: Pubkey
    believed: Answers
    slot: int
    """A confirmed one, seen just now."""
    version: MessageVersion = MessageVersion.V0
    bid: int = 0
    """Micro-lamports per compute unit."""
    prices: dict[str, Any] = field(default_factory=dict)
    recalled: bool = True

    async def missing(self, cluster: Cluster) -> list[Answer]:
        """Asks for what nobody knows, all at once; what is to be told to others.

        Raises:
            SolanaError: The cluster did not say.
        """
        told = await together([self._prices(cluster), self._version(cluster), self._bid(cluster)])
        return [answer for answer in told if answer is not None]

    async def _prices(self, cluster: Cluster) -> Answer | None:
        about = str(self.mint.account_size)
        known = self.believed.get(Question.PRICES, about)
        if known is not None and not self._is_past(known["next_epoch"]):
            self.prices = known
            return None
        chain, signature_fee, account_rent, floor = await asyncio.gather(
            cluster.epoch_info(),
            _signature_fee(cluster, self.authority),
            cluster.rent(self.mint.account_size),
            cluster.rent(0),
        )
        self.recalled = False
        self.prices = {
            "signature_fee": signature_fee,
            "account_rent": account_rent,
            "floor": floor,
            "slot": chain.slot,
            "block_height": chain.block_height,
            "next_epoch": chain.next_epoch,
        }
        kept = BID_KEPT if chain.next_epoch is None else PRICES_KEPT
        return Answer(Question.PRICES, self.prices, kept, about)

    def _is_past(self, next_epoch: int | None) -> bool:
        return next_epoch is not None and self.slot >= next_epoch

    async def _version(self, cluster: Cluster) -> Answer | None:
        if self.config.transaction_version != "auto":
            self.version = MessageVersion(self.config.transaction_version)
            return None
        if self.believed.get(Question.V1_REFUSED):
            return None
        known = self.believed.get(Question.V1)
        takes_v1 = await cluster.supports_v1(self.authority) if known is None else known
        self.version = MessageVersion.V1 if takes_v1 else MessageVersion.V0
        return None if known is not None else Answer(Question.V1, takes_v1, VERSION_KEPT)

    async def _bid(self, cluster: Cluster) -> Answer | None:
        """As set, or what others bid lately for the same accounts."""
        if self.config.priority_fee is not None:
            self.bid = self.config.priority_fee
            return None
        about = f"{self.mint.address} {self.authority}"
        known = self.believed.get(Question.BID, about)
        if known is not None:
            self.bid = known
            return None
        fees = await cluster.recent_priority_fees([self.mint.address, self.authority])
        self.bid = median(fees)
        return Answer(Question.BID, self.bid, BID_KEPT, about)


def median(fees: Sequence[int]) -> int:
    """The middle of recent bids; 0 where nobody bids."""
    return sorted(fees)[len(fees) // 2] if fees else 0


async def _signature_fee(cluster: Cluster, authority: Pubkey) -> int:
    """Lamports of one signature, asked with the smallest message that has one."""
    blockhash = await cluster.latest_blockhash()
    message = MessageV0.try_compile(authority, [memo("?")], [], Hash.from_string(blockhash.value))
    return await cluster.fee_for_message(to_bytes_versioned(message))
