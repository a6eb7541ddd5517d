"""Making the mint, once: its address follows from the key, so a second run finds the first's."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

import structlog
from solders.hash import Hash
from solders.message import MessageV0, to_bytes_versioned
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction
from spl.token.constants import MINT_LEN, TOKEN_PROGRAM_ID

from minting.engine.errors import InsufficientFunds, MintingRefused, SolanaError
from minting.engine.instructions import (
    create_account_with_seed,
    initialize_mint2,
    mint_address_with_seed,
)
from minting.engine.mints import decode_mint
from minting.engine.types import MintFacts, Signer
from minting.service import landmarks
from minting.service.preflight import record_mint
from minting.service.session import Session

log = structlog.get_logger(__name__)

SEED = "gridtoken-energy"
"""Part of the mint's address; another seed would be another token."""

PATIENCE = 60.0
"""Seconds to wait for the mint to be confirmed; a second run finds what the first sent."""


@dataclass(frozen=True, slots=True)
class CreatedMint:
    """The mint, and whether this run made it."""

    facts: MintFacts
    created: bool


def create_mint(
    session: Session, *, authority: Pubkey | None = None, freeze_authority: Pubkey | None = None
) -> CreatedMint:
    """Makes the energy token's mint, or finds it.

    Args:
        session: The way to the chain; its signer pays and gives the address.
        authority: Who may mint; the signer unless told otherwise (a program's address).
        freeze_authority: Who may freeze token accounts; nobody unless told otherwise.

    Raises:
        MintingRefused: what is at the address is another mint than asked for.
        InsufficientFunds: the signer cannot pay fee and rent.
        SolanaError: the cluster did not answer, or the mint was not confirmed in time.
    """
    signer = session.open_signer()
    wanted = authority or signer.address
    address = mint_address_with_seed(signer.address, SEED, TOKEN_PROGRAM_ID)
    view = session.run(session.cluster.account(address))
    created = view is None
    if created:
        session.run(_create(session, signer, address, wanted, freeze_authority))
        view = session.run(session.cluster.account(address))
    facts = decode_mint(address, view)
    if facts.mint_authority != wanted or facts.decimals != session.config.decimals:
        raise MintingRefused(
            f"The mint {address} exists with authority {facts.mint_authority} and "
            f"{facts.decimals} decimals, not as asked for"
        )
    genesis_hash = session.run(session.cluster.genesis_hash())
    record_mint(facts, genesis_hash)
    # Whoever pays for the mint pays for what is minted.
    landmarks.learn(session, signer.address, genesis_hash)
    return CreatedMint(facts, created)


async def _create(
    session: Session,
    signer: Signer,
    address: Pubkey,
    authority: Pubkey,
    freeze_authority: Pubkey | None,
) -> None:
    cluster = session.cluster
    rent = await cluster.rent(MINT_LEN)
    blockhash = await cluster.latest_blockhash()
    message = MessageV0.try_compile(
        signer.address,
        [
            create_account_with_seed(
                payer=signer.address,
                base=signer.address,
                seed=SEED,
                token_program=TOKEN_PROGRAM_ID,
                lamports=rent,
            ),
            initialize_mint2(
                mint=address,
                token_program=TOKEN_PROGRAM_ID,
                decimals=session.config.decimals,
                mint_authority=authority,
                freeze_authority=freeze_authority,
            ),
        ],
        [],
        Hash.from_string(blockhash.value),
    )
    data = to_bytes_versioned(message)
    fee = await cluster.fee_for_message(data)
    balance, _ = await cluster.balance(signer.address)
    missing = rent + fee + await cluster.rent(0) - balance
    if missing > 0:
        raise InsufficientFunds(missing)
    raw = bytes(VersionedTransaction.populate(message, [await signer.sign(data)]))
    await _land(session, raw, address)


async def _land(session: Session, raw: bytes, address: Pubkey) -> None:
    """Sends the same bytes until the mint is there."""
    give_up = time.monotonic() + PATIENCE
    while time.monotonic() < give_up:
        note = await session.cluster.send(raw)
        if note is not None:
            log.info("send_noted", note=note)
        for _ in range(10):
            await asyncio.sleep(0.2)
            if await session.cluster.account(address) is not None:
                return
    raise SolanaError("The mint was not confirmed in time; run it again, it finds what was sent")
