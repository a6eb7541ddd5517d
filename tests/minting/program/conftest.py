"""A mint whose authority is a program's, on the session's chain."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from pytest_django import Settings
from solders.keypair import Keypair
from spl.token.constants import TOKEN_2022_PROGRAM_ID, TOKEN_PROGRAM_ID

from gridtoken.embedded.localnet import Localnet
from minting.service.chain.session import open_session
from minting.service.create_mint import create_mint
from tests.minting.conftest import SOL, MintingChain
from tests.programs import cast


@pytest.fixture
def use_program(
    db: None, chain: Localnet, settings: Settings, tmp_path: Path
) -> Callable[..., MintingChain]:
    """Sets a program up by its name, with a fresh authority and mint."""

    def use(name: str, *, token_2022: bool = False, old: bool = False) -> MintingChain:
        authority, validator = Keypair(), Keypair()
        for key, file in ((authority, "authority.json"), (validator, "validator.json")):
            (tmp_path / file).write_text(json.dumps(list(bytes(key))))
            (tmp_path / file).chmod(0o600)
        chain.airdrop(authority.pubkey(), 100 * SOL)
        chain.add_program(cast.address(name), cast.elf(name))
        settings.MINT_AUTHORITY_KEYPAIR = tmp_path / "authority.json"
        settings.MINT_AUTHORITY_ADDRESS = str(authority.pubkey())
        settings.MINT_JOURNAL_DIR = str(tmp_path / "journal")
        settings.MINT_PROGRAM = "anchor"
        settings.MINT_PROGRAM_ID = str(cast.address(name))
        settings.MINT_PROGRAM_IDL = cast.idl_file(name, old=old)
        if name == "platform_mint":
            settings.MINT_PROGRAM_ACCOUNTS = {"registry_authority": str(authority.pubkey())}
            settings.MINT_PROGRAM_SIGNERS = {"rec_validator": tmp_path / "validator.json"}
        token_program = TOKEN_2022_PROGRAM_ID if token_2022 else TOKEN_PROGRAM_ID
        with open_session() as session:
            made = create_mint(
                session,
                authority="token_info" if name == "platform_mint" else None,
                freeze_authority=authority.pubkey(),
                token_program=token_program,
            )
        settings.ENERGY_TOKEN_MINT = str(made.facts.address)
        return MintingChain(
            chain,
            authority,
            tmp_path / "authority.json",
            made.facts.address,
            settings,
            token_program,
        )

    return use
