"""A mint on the local chain, and what is paid from it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pytest_django import Settings
from solders.account import Account
from solders.hash import Hash
from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction
from spl.token.constants import TOKEN_PROGRAM_ID
from spl.token.instructions import (
    create_idempotent_associated_token_account,
    freeze_account,
    get_associated_token_address,
    set_authority,
    thaw_account,
)
from spl.token.models import (
    AuthorityType,
    FreezeAccountParams,
    SetAuthorityParams,
    ThawAccountParams,
)

from gridtoken.embedded.localnet import Localnet
from minting.service.chain.session import open_session
from minting.service.create_mint import create_mint
from minting.service.drive.recover import slices_wait
from minting.tasks import look

SOL = 1_000_000_000


@dataclass(frozen=True)
class MintingChain:
    """A chain with a mint of its own, whose authority has 100 SOL."""

    net: Localnet
    authority: Keypair
    keypair_file: Path
    mint: Pubkey
    settings: Any
    token_program: Pubkey = TOKEN_PROGRAM_ID

    def balance_of(self, wallet: str) -> int:
        """Base units in the associated token account of ``wallet``; 0 without one."""
        with open_session() as session:
            view = session.run(session.cluster.account(self.token_account(wallet)))
            return 0 if view is None else int.from_bytes(view.data[64:72], "little")

    def supply(self) -> int:
        """Base units there are."""
        with open_session() as session:
            view = session.run(session.cluster.account(self.mint))
            assert view is not None
            return int.from_bytes(view.data[36:44], "little")

    def send(self, instructions: Sequence[Instruction], *more: Keypair) -> None:
        """A transaction of somebody else's making; the authority pays."""
        with open_session() as session:
            blockhash = session.run(session.cluster.latest_blockhash())
            message = MessageV0.try_compile(
                self.authority.pubkey(), instructions, [], Hash.from_string(blockhash.value)
            )
            transaction = VersionedTransaction(message, [self.authority, *more])
            session.run(session.cluster.send(bytes(transaction)))
        self.net.wait_slots(6)

    def token_account(self, wallet: str) -> Pubkey:
        """The associated token account of ``wallet``."""
        return get_associated_token_address(
            Pubkey.from_string(wallet), self.mint, self.token_program
        )

    def open_account(self, wallet: str) -> Pubkey:
        """Creates the associated token account of ``wallet``."""
        self.send(
            [
                create_idempotent_associated_token_account(
                    self.authority.pubkey(),
                    Pubkey.from_string(wallet),
                    self.mint,
                    self.token_program,
                )
            ]
        )
        return self.token_account(wallet)

    def freeze(self, wallet: str) -> None:
        """Opens and freezes the token account of ``wallet``."""
        account = self.open_account(wallet)
        self.send(
            [
                freeze_account(
                    FreezeAccountParams(
                        program_id=self.token_program,
                        account=account,
                        mint=self.mint,
                        authority=self.authority.pubkey(),
                    )
                )
            ]
        )

    def freeze_now(self, wallet: str) -> None:
        """As ``freeze``, at once and without a transaction: callable inside an event loop."""
        address = self.token_account(wallet)
        account = self.net.ledger.bank().account(address)
        assert account is not None
        data = bytearray(account.data)
        data[108] = 2
        self.net.set_account(
            address,
            Account(account.lamports, bytes(data), account.owner, executable=False, rent_epoch=0),
        )

    def thaw(self, wallet: str) -> None:
        """Undoes ``freeze``."""
        self.send(
            [
                thaw_account(
                    ThawAccountParams(
                        program_id=TOKEN_PROGRAM_ID,
                        account=self.token_account(wallet),
                        mint=self.mint,
                        authority=self.authority.pubkey(),
                    )
                )
            ]
        )

    def give_away(self, owner: Keypair, new_owner: Pubkey) -> None:
        """Lets ``owner`` hand its token account to somebody else (``SetAuthority``)."""
        account = self.open_account(str(owner.pubkey()))
        self.send(
            [
                set_authority(
                    SetAuthorityParams(
                        program_id=TOKEN_PROGRAM_ID,
                        account=account,
                        authority=AuthorityType.ACCOUNT_OWNER,
                        current_authority=owner.pubkey(),
                        new_authority=new_owner,
                    )
                )
            ],
            owner,
        )

    def lamports(self) -> int:
        """The authority's balance at confirmed."""
        with open_session() as session:
            return session.run(session.cluster.balance(self.authority.pubkey()))[0]


@pytest.fixture
def minting_chain(db: None, chain: Localnet, settings: Settings, tmp_path: Path) -> MintingChain:
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

    def work() -> None:
        while slices_wait():
            look()

    return work
