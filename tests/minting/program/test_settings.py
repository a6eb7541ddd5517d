"""What settings may say of a program, and what stops the start in one line."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from pytest_django import Settings
from solders.keypair import Keypair

from gridtoken.embedded.options import Program
from minting.conf import current
from minting.engine.errors import MintingRefused
from minting.engine.programs.anchor_accounts import Role, Setting
from tests.programs import cast

REGISTRY = str(Keypair.from_seed(bytes([5] * 32)).pubkey())


@pytest.fixture
def platform(settings: Settings, tmp_path: Path) -> Settings:
    """Settings that are complete."""
    key = tmp_path / "validator.json"
    key.write_text(json.dumps(list(bytes(Keypair()))))
    settings.MINT_PROGRAM = "anchor"
    settings.MINT_PROGRAM_ID = None
    settings.MINT_PROGRAM_IDL = cast.idl_file("platform_mint")
    settings.MINT_PROGRAM_ACCOUNTS = {"registryAuthority": REGISTRY}
    settings.MINT_PROGRAM_SIGNERS = {"rec_validator": key}
    return settings


def test_what_is_complete_is_taken_and_the_program_is_that_of_the_idl(platform):
    config = current()
    assert config.program is not None
    assert config.program.program == cast.address("platform_mint")
    assert set(config.program.accounts) == {"registryAuthority", "rec_validator"}
    assert config.cosigners == platform.MINT_PROGRAM_SIGNERS


def test_a_process_that_only_estimates_needs_the_address_and_not_the_key(platform, tmp_path):
    address = str(Keypair().pubkey())
    platform.MINT_PROGRAM_ACCOUNTS |= {"rec_validator": address}
    platform.MINT_PROGRAM_SIGNERS = {"rec_validator": tmp_path / "not there"}
    program = current().program
    assert program is not None
    assert str(program.accounts["rec_validator"].source) == address


def test_an_account_may_be_told_by_its_role(platform):
    platform.MINT_PROGRAM_ACCOUNTS = {"registry_authority": "authority"}
    program = current().program
    assert program is not None
    assert program.accounts["registry_authority"] == Setting(Role.AUTHORITY)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"MINT_PROGRAM_IDL": Path("/nowhere.json")}, "MINT_PROGRAM_IDL /nowhere.json: No such"),
        ({"MINT_PROGRAM_IDL": Path(__file__)}, "The IDL is not JSON"),
        (
            {"MINT_PROGRAM_IDL": cast.idl_file("platform_mint", old=True)},
            "MINT_PROGRAM_ID is not set, and the IDL does not name the program",
        ),
        ({"MINT_PROGRAM_ID": REGISTRY}, f"MINT_PROGRAM_ID is {REGISTRY}, the IDL is that of"),
        ({"MINT_PROGRAM_INSTRUCTION": "burn"}, "The IDL has no instruction burn"),
        (
            {"MINT_PROGRAM_ACCOUNTS": {"registry_authority": "me"}},
            "registry_authority must be a Solana address or one of",
        ),
        (
            {"MINT_PROGRAM_ACCOUNTS": {"registry_authority": REGISTRY, "rec_validator": REGISTRY}},
            "MINT_PROGRAM_ACCOUNTS says",
        ),
        (
            {"MINT_PROGRAM_SIGNERS": {"rec_validator": Path("/nowhere.json")}},
            "the key of rec_validator cannot be read from /nowhere.json",
        ),
        ({"MINT_PROGRAM_SIGNERS": {}}, "Account rec_validator: nothing says which address"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(platform, changes, why):
    for name, value in changes.items():
        setattr(platform, name, value)
    with pytest.raises(MintingRefused, match=re.escape(why)) as told:
        current()
    assert "\n" not in str(told.value)


def test_a_program_for_the_local_chain_is_an_address_and_a_file(tmp_path):
    import argparse

    file = cast.FOLDER / "seed_mint.so"
    parsed = Program.parsed(f"{cast.address('seed_mint')}={file}")
    assert (parsed.address, parsed.elf) == (cast.address("seed_mint"), cast.elf("seed_mint"))
    for text in ("x", f"{cast.address('seed_mint')}", f"abc={file}"):
        with pytest.raises(argparse.ArgumentTypeError, match="is not ADDRESS=FILE"):
            Program.parsed(text)
    with pytest.raises(argparse.ArgumentTypeError, match="No such file"):
        Program.parsed(f"{cast.address('seed_mint')}={tmp_path / 'absent.so'}")
