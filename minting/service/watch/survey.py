"""What the chain says of the settings, for whoever sets an installation up; nothing is recorded.

Stricter than what is asked before minting, and never in its way: everything that is wrong at
once, each with what to do about it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any

from django.db import DatabaseError
from solders.pubkey import Pubkey

from minting.conf import MintingConfig
from minting.engine.errors import MintingRefused, SignerRefused, SolanaError
from minting.engine.mints import decode_mint, require_mintable
from minting.engine.types import AccountView, MintFacts
from minting.service.chain.preflight import require_same_cluster
from minting.service.chain.program import program_for, require_willing
from minting.service.chain.session import Session

PATIENCE = 6.0
"""Seconds for all that is asked together."""

CLOCK = Pubkey.from_string("SysvarC1ock11111111111111111111111111111111")
UNIX_TIME = slice(32, 40)
"""In the clock's account: i64, little endian (Agave's ``Clock``)."""

CLOCK_MAY_DIFFER = 120
"""Seconds: validators' clocks are averaged, and theirs may drift by some tens."""

LOW = 10_000_000
"""Lamports: two thousand signatures, or a few new token accounts."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong."""

    code: str
    """Of the check: ``E001``, or with a ``W`` what need not stop anybody."""
    sentence: str
    hint: str


@dataclass(frozen=True, slots=True)
class _Seen:
    genesis_hash: str
    payer: AccountView | None
    mint: AccountView | None
    clock: AccountView | None


def survey(session: Session) -> list[Finding]:
    """All that is found wrong; empty if nothing is. No longer than ``PATIENCE`` and a little.

    Raises:
        SignerRefused, SignerUnavailable: The authority's address is the signer's to tell.
    """
    config = session.config
    if missing := _missing(config):
        return [missing]
    authority, address = config.need_authority(), config.need_mint()
    try:
        seen = session.run(_within(_ask(session, authority, address)))
    except (SolanaError, TimeoutError) as error:
        return [_silent(error)]
    except MintingRefused as refused:
        return [_other_cluster(refused)]
    found = [_cluster(config, seen.genesis_hash), _balance(authority, seen.payer), _time(seen)]
    return [each for each in found if each] + _mint(session, address, seen.mint)


def _missing(config: MintingConfig) -> Finding | None:
    try:
        config.need_mint()
        config.need_authority()
    except SignerRefused:
        raise  # about the key's keeper, who names the authority
    except MintingRefused as refused:
        return Finding("E002", str(refused), "Set it where web and workers get their environment.")
    return None


async def _within(phase: Coroutine[Any, Any, _Seen]) -> _Seen:
    async with asyncio.timeout(PATIENCE):
        return await phase


async def _ask(session: Session, authority: Pubkey, mint: Pubkey) -> _Seen:
    genesis_hash = await session.cluster.genesis_hash()
    views, _ = await session.cluster.accounts((authority, mint, CLOCK))
    return _Seen(genesis_hash, *views)


def _silent(error: Exception) -> Finding:
    said = f": {error}" if str(error) else f" within {PATIENCE:.0f} s"
    hint = "Start a node or correct SOLANA_RPC_URL, and check again."
    return Finding("W001", f"No node answers, so the chain was not checked{said}", hint)


def _other_cluster(refused: MintingRefused) -> Finding:
    hint = "Compare SOLANA_RPC_URL with SOLANA_GENESIS_HASH, or with the mint's page in the admin."
    return Finding("E001", str(refused), hint)


def _cluster(config: MintingConfig, genesis_hash: str) -> Finding | None:
    try:
        require_same_cluster(config, genesis_hash)
    except MintingRefused as refused:
        return _other_cluster(refused)
    except DatabaseError as error:
        return Finding(
            "W004",
            f"The database does not tell which cluster this mint was first seen on: {error}",
            "Run `migrate`, or correct DATABASE_URL, and check again.",
        )
    return None


def _balance(authority: Pubkey, payer: AccountView | None) -> Finding | None:
    lamports = payer.lamports if payer else 0
    if lamports >= LOW:
        return None
    return Finding(
        "W002",
        f"The mint authority {authority} holds {lamports:,} lamports, less than {LOW:,}",
        "It pays fees and rent: send it SOL.",
    )


def _time(seen: _Seen) -> Finding | None:
    if seen.clock is None:
        return None  # a cluster always has one; a node that hides it is no reason to warn of time
    chain = int.from_bytes(seen.clock.data[UNIX_TIME], "little", signed=True)
    apart = int(time.time()) - chain
    if abs(apart) <= CLOCK_MAY_DIFFER:
        return None
    word = "ahead of" if apart > 0 else "behind"
    return Finding(
        "W003",
        f"This machine's clock is {abs(apart)} s {word} the chain's",
        "Let it follow a time server (chrony, systemd-timesyncd): ages of readings are judged "
        "by it. A local chain that stood still catches up by itself.",
    )


def _mint(session: Session, address: Pubkey, view: AccountView | None) -> list[Finding]:
    """What is wrong with the mint, one after the other: each rests on the one before."""
    config = session.config
    try:
        facts = decode_mint(address, view)
    except MintingRefused as refused:
        hint = "ENERGY_TOKEN_MINT is what `manage.py create_mint` prints, on this cluster."
        return [Finding("E002", str(refused), hint)]
    found = [_authority(config, facts), _decimals(config, facts)]
    return [each for each in found if each] or _program(session, facts)


def _authority(config: MintingConfig, facts: MintFacts) -> Finding | None:
    try:
        require_mintable(
            facts,
            authority=config.need_authority(),
            decimals=facts.decimals,  # asked by itself
            minters=program_for(config, facts).minters(),
        )
    except MintingRefused as refused:
        hint = (
            "MINT_AUTHORITY_KEYPAIR and MINT_AUTHORITY_ADDRESS must be the mint's authority; "
            "`spl-token authorize` hands it over."
        )
        return Finding("E003", str(refused), hint)
    return None


def _decimals(config: MintingConfig, facts: MintFacts) -> Finding | None:
    if facts.decimals == config.decimals:
        return None
    return Finding(
        "E004",
        f"The mint {facts.address} has {facts.decimals} decimals, "
        f"TOKENIZATION_DECIMALS says {config.decimals}",
        f"Set TOKENIZATION_DECIMALS={facts.decimals}: a mint's decimals never change.",
    )


def _program(session: Session, facts: MintFacts) -> list[Finding]:
    try:
        session.run(require_willing(session.cluster, session.config, facts))
    except SolanaError as error:
        return [_silent(error)]
    except MintingRefused as refused:
        hint = "Simulated as it would be sent: see docs/programs.md for what its answer means."
        return [Finding("E005", str(refused), hint)]
    return []
