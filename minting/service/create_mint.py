"""Making the mint, once: its address follows from the key, so a second run finds the first's."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, replace

import structlog
from solders.hash import Hash
from solders.message import MessageV0, to_bytes_versioned
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction
from spl.token.constants import MINT_LEN, TOKEN_PROGRAM_ID

from minting.engine.errors import InsufficientFunds, MintingRefused, SolanaError
from minting.engine.idl import same_name
from minting.engine.instructions import (
    create_account_with_seed,
    initialize_mint2,
    mint_address_with_seed,
)
from minting.engine.mints import decode_mint
from minting.engine.types import MintFacts, Signer
from minting.service.chain.preflight import record_mint
from minting.service.chain.session import Session
from minting.service.history import landmarks

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
    session: Session,
    *,
    authority: Pubkey | str | None = None,
    freeze_authority: Pubkey | None = None,
    token_program: Pubkey = TOKEN_PROGRAM_ID,
) -> CreatedMint:
    """Makes the energy token's mint, or finds it.

    Args:
        session: The way to the chain; its signer pays and gives the address.
        authority: Who may mint; the signer unless told otherwise: an address, or the name of an
            account of the configured program's instruction.
        freeze_authority: Who may freeze token accounts; nobody unless told otherwise.
        token_program: SPL Token or Token-2022.

    Raises:
        MintingRefused: what is at the address is another mint than asked for.
        InsufficientFunds: the signer cannot pay fee and rent.
        SolanaError: the cluster did not answer, or the mint was not confirmed in time.
    """
    signer = session.open_signer()
    # Whoever starts with a key in Vault learns here whom to send SOL.
    log.info("authority", address=str(signer.address))
    address = mint_address_with_seed(signer.address, SEED, token_program)
    wanted = MintFacts(
        address=address,
        token_program=token_program,
        decimals=session.config.decimals,
        supply=0,
        mint_authority=signer.address,
        freeze_authority=freeze_authority,
        account_size=0,
    )
    if isinstance(authority, str):
        authority = _account_named(session, authority, wanted)
    if authority is not None:
        wanted = replace(wanted, mint_authority=authority)
    view = session.run(session.cluster.account(address))
    created = view is None
    if created:
        session.run(_create(session, signer, wanted))
        view = session.run(session.cluster.account(address))
    facts = decode_mint(address, view)
    if (facts.mint_authority, facts.decimals) != (wanted.mint_authority, wanted.decimals):
        raise MintingRefused(
            f"The mint {address} exists with authority {facts.mint_authority} and "
            f"{facts.decimals} decimals, not as asked for"
        )
    genesis_hash = session.run(session.cluster.genesis_hash())
    record_mint(facts, genesis_hash)
    # Whoever pays for the mint pays for what is minted.
    landmarks.learn(session, signer.address, genesis_hash)
    return CreatedMint(facts, created)


def _account_named(session: Session, name: str, mint: MintFacts) -> Pubkey:
    """An account of the instruction by which the configured program mints.

    Raises:
        MintingRefused: No program is configured, or its instruction has no such account.
    """
    program = session.config.program
    if program is None:
        raise MintingRefused(f"{name} is no address, and MINT_PROGRAM names no program")
    bound = program.for_mint(mint, session.config.need_authority())
    for slot in bound.slots:
        if same_name(slot.label, name) and isinstance(slot.source, Pubkey):
            return slot.source
    names = ", ".join(slot.label for slot in bound.slots)
    raise MintingRefused(f"{name} is no address, nor one of the program's accounts: {names}")


async def _create(session: Session, signer: Signer, mint: MintFacts) -> None:
    """Sends the transaction that makes ``mint``, until it is there."""
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
                token_program=mint.token_program,
                lamports=rent,
            ),
            initialize_mint2(
                mint=mint.address,
                token_program=mint.token_program,
                decimals=mint.decimals,
                mint_authority=mint.mint_authority or signer.address,
                freeze_authority=mint.freeze_authority,
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
    raw = bytes(VersionedTransaction.populate(message, await signer.sign([data])))
    await _land(session, raw, mint.address)


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
