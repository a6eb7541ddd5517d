"""What must be true of cluster, mint and authority before anything is queued or signed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import structlog
from django.db import transaction
from solders.pubkey import Pubkey

from minting.conf import MintingConfig
from minting.engine.errors import MintingRefused, NodeUnreachable
from minting.engine.mints import decode_mint, require_mintable
from minting.engine.types import AccountView, MintFacts, Signer
from minting.models import MintInfo
from minting.service.chain.program import program_for, require_willing
from minting.service.chain.session import Session

log = structlog.get_logger(__name__)

TRIES = 3
"""Questions to silent nodes before minting is queued without their answer (contract.md)."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Mint and payer as one answer tells them: what every request and every wave asks anew."""

    info: MintInfo
    facts: MintFacts
    lamports: int
    """Of the authority, which pays."""
    slot: int
    """Of the answer."""


def inspect_mint(session: Session) -> Standing:
    """Asks the chain about mint and payer, refuses what is wrong, and records what is right.

    Raises:
        MintingRefused: wrong cluster, mint, authority or decimals.
        NodeUnreachable: no node answered.
    """
    config = session.config
    address, authority = config.need_mint(), config.need_authority()
    expect_cluster(session)
    genesis_hash, (payer, mint), slot = session.run(_ask_of(session, authority, address))
    facts = decode_mint(address, mint)
    require_mintable(
        facts,
        authority=authority,
        decimals=config.decimals,
        minters=program_for(config, facts).minters(),
    )
    lamports = 0 if payer is None else payer.lamports
    return Standing(record_mint(facts, genesis_hash), facts, lamports, slot)


def require_keys(session: Session, facts: MintFacts, signer: Signer) -> None:
    """Whether each key that signs is here.

    Raises:
        MintingRefused: One is not, or cannot be read.
    """
    authority = session.config.need_authority()
    held = {signer.address, *(each.address for each in session.open_cosigners())}
    for address in program_for(session.config, facts).signers(authority):
        if address not in held:
            raise MintingRefused(f"{address} has to sign: MINT_PROGRAM_SIGNERS names no key for it")


async def _ask_of(
    session: Session, *addresses: Pubkey
) -> tuple[str, tuple[AccountView | None, ...], int]:
    genesis_hash = await session.cluster.genesis_hash()
    views, slot = await session.cluster.accounts(addresses)
    return genesis_hash, views, slot


def look_at_mint(session: Session) -> tuple[MintInfo, MintFacts]:
    """As ``inspect_mint``, but whatever authority the mint has: to compare, not to mint.

    Raises:
        MintingRefused: wrong cluster, or no mint.
        SolanaError: no node answered.
    """
    expect_cluster(session)
    genesis_hash, facts = session.run(_ask(session))
    return record_mint(facts, genesis_hash), facts


async def _ask(session: Session) -> tuple[str, MintFacts]:
    address = session.config.need_mint()
    genesis_hash = await session.cluster.genesis_hash()
    return genesis_hash, decode_mint(address, await session.cluster.account(address))


def expect_cluster(session: Session) -> None:
    """Lets only nodes of our cluster answer; of several, one of another may be the first to."""
    if (expected := _expected_cluster(session.config)) is not None:
        session.cluster.expect(expected)


def _expected_cluster(config: MintingConfig) -> str | None:
    """By the setting, else what was recorded at first use."""
    recorded = MintInfo.objects.filter(address=str(config.mint_address))
    return config.genesis_hash or recorded.values_list("genesis_hash", flat=True).first()


def require_same_cluster(config: MintingConfig, genesis_hash: str) -> None:
    """Compares with the setting, else with what was recorded at first use.

    Raises:
        MintingRefused: another cluster answers.
    """
    expected = _expected_cluster(config)
    if expected is not None and expected != genesis_hash:
        raise MintingRefused(
            f"The node is on the cluster {genesis_hash}, this installation mints on {expected}"
        )


@transaction.atomic
def record_mint(facts: MintFacts, genesis_hash: str) -> MintInfo:
    """Keeps what the mint account says; writes only what changed."""
    key: dict[str, Any] = {"genesis_hash": genesis_hash, "address": str(facts.address)}
    says: dict[str, Any] = {
        "token_program": str(facts.token_program),
        "decimals": facts.decimals,
        "account_size": facts.account_size,
        "mint_authority": str(facts.mint_authority or ""),
        "freeze_authority": str(facts.freeze_authority or ""),
    }
    known = MintInfo.objects.filter(**key, **says).first()
    return known or MintInfo.objects.update_or_create(**key, defaults=says)[0]


def recorded_mint(config: MintingConfig) -> MintInfo:
    """What is known of the mint without asking anybody.

    Raises:
        MintingRefused: nothing was ever recorded, so that no node could be left unasked.
    """
    info = MintInfo.objects.filter(address=str(config.need_mint())).first()
    if info is None:
        raise MintingRefused("No node answers, and this mint was never seen before: start a node")
    return info


def inspect_patiently(session: Session) -> Standing | None:
    """As ``inspect_mint``, but silent nodes are a warning after three tries, and ``None``.

    Where a program mints it is asked as well whether it would.

    Raises:
        MintingRefused: the chain says no.
    """
    for attempt in range(1, TRIES + 1):
        try:
            standing = inspect_mint(session)
            session.run(require_willing(session.cluster, session.config, standing.facts))
        except NodeUnreachable as error:
            log.warning("node_silent", attempt=attempt, of=TRIES, reason=str(error))
        else:
            return standing
    return None


def inspect_or_recall(session: Session) -> tuple[MintInfo, Standing | None]:
    """What the chain says of the mint; where all nodes are silent, what was recorded of it.

    Returns:
        What is known of it, and what a node just said.

    Raises:
        MintingRefused: the chain says no, or neither node nor record says anything.
    """
    standing = inspect_patiently(session)
    return (standing.info, standing) if standing else (recorded_mint(session.config), None)
