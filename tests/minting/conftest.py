"""A mint on the local chain, and what is paid from it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from gridtoken.embedded.localnet import Localnet
from minting.engine.wallets import associated_token_address
from minting.models import MintInfo
from minting.service.create_mint import create_mint
from minting.service.session import open_session
from pytest_django import Settings
from solders.keypair import Keypair
from solders.pubkey import Pubkey

SOL = 1_000_000_000


@dataclass(frozen=True)
class MintingChain:
    """A chain with a mint of its own, whose authority has 100 SOL."""

    net: Localnet
    authority: Keypair
    keypair_file: Path
    mint: Pubkey
    settings: Any

    def balance_of(self, wallet: str) -> int:
        """Base units in the associated token account of ``wallet``; 0 without one."""
        with open_session() as session:
            info = MintInfo.objects.get(address=str(self.mint))
            address = associated_token_address(Pubkey.from_string(wallet), _facts(info))
            view = session.run(session.cluster.account(address))
            return 0 if view is None else int.from_bytes(view.data[64:72], "little")

    def supply(self) -> int:
        """Base units there are."""
        with open_session() as session:
            view = session.run(session.cluster.account(self.mint))
            assert view is not None
            return int.from_bytes(view.data[36:44], "little")

    def lamports(self) -> int:
        """The authority's balance at confirmed."""
        with open_session() as session:
            return session.run(session.cluster.balance(self.authority.pubkey()))[0]


def _facts(info: MintInfo) -> Any:
    class Facts:
        address = Pubkey.from_string(info.address)
        token_program = Pubkey.from_string(info.token_program)

    return Facts


@pytest.fixture
def minting_chain(
    db: None, chain: Localnet, settings: Settings, tmp_path: Path
) -> MintingChain:
    """A fresh authority and mint on the session's chain, and the settings naming them."""
    authority = Keypair()
    keypair_file = tmp_path / "authority.json"
    keypair_file.write_text(json.dumps(list(bytes(authority))))
    keypair_file.chmod(0o600)
    chain.airdrop(authority.pubkey(), 100 * SOL)
    settings.MINT_AUTHORITY_KEYPAIR = str(keypair_file)
    settings.MINT_AUTHORITY_ADDRESS = str(authority.pubkey())
    settings.MINT_JOURNAL_DIR = str(tmp_path / "journal")
    with open_session() as session:
        made = create_mint(session, freeze_authority=authority.pubkey())
    settings.ENERGY_TOKEN_MINT = str(made.facts.address)
    return MintingChain(chain, authority, keypair_file, made.facts.address, settings)


@pytest.fixture
def drain() -> Callable[[], None]:
    """Works in this process as a worker of the queue would, until no slice waits."""
    from minting.service.recover import slices_wait
    from minting.tasks import look

    def work() -> None:
        while slices_wait():
            look()

    return work
