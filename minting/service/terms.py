"""What every transaction has in common, kept by the process for as long as it is believed.

Prices, format and bids do not change from wave to wave, so tasks that follow one another in a
worker do not each ask for them. What the mint says is asked before every wave.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import structlog

from minting.conf import MintingConfig
from minting.engine.types import MintFacts
from minting.service import planning
from minting.service.planning import Terms, learn_terms
from minting.service.session import Session

log = structlog.get_logger(__name__)

TERMS_KEPT = 30.0
"""Seconds for which prices, bids and format are not asked again."""


@dataclass(frozen=True, slots=True)
class _Kept:
    terms: Terms
    until: float
    """Monotonic seconds."""


_kept: dict[tuple[object, ...], _Kept] = {}


def terms_of(session: Session, mint: MintFacts) -> Terms:
    """The terms for a mint as it was just read.

    Raises:
        SolanaError: the cluster did not say.
    """
    key = _key(session.config)
    kept = _kept.get(key)
    if kept is None or kept.until < time.monotonic():
        terms = session.run(learn_terms(session.cluster, session.config, mint))
        kept = _kept[key] = _Kept(terms, time.monotonic() + TERMS_KEPT)
    return replace(kept.terms, mint=mint)


def forget_v1(config: MintingConfig) -> bool:
    """A node refused the format: what is planned from now on is v0, for a while.

    Returns:
        Whether that changes anything: the format is ours to choose (``auto``).
    """
    if config.transaction_version != "auto":
        return False
    log.warning("v1_refused", kept=planning.VERSION_KEPT)
    planning.forget_v1(config)
    _kept.pop(_key(config), None)
    return True


def _key(config: MintingConfig) -> tuple[object, ...]:
    """Everything that the terms depend on, but for the chain."""
    return (
        config.rpc_urls,
        config.mint_address,
        config.authority_address,
        config.transaction_version,
        config.priority_fee,
        config.max_priority_fee,
    )
