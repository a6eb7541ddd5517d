"""The test programs: where they lie, what their IDLs are, and how settings name them."""

from __future__ import annotations

import json
from pathlib import Path

from solders.pubkey import Pubkey

FOLDER = Path(__file__).parent
NAMES = ("seed_mint", "platform_mint")


def elf(name: str) -> bytes:
    """The program as the loader takes it."""
    return (FOLDER / f"{name}.so").read_bytes()


def idl_file(name: str, *, old: bool = False) -> Path:
    """The program's IDL, in spec 0.1.0 or in the older form."""
    return FOLDER / (f"{name}.old.json" if old else f"{name}.json")


def address(name: str) -> Pubkey:
    """Where the program lives."""
    return Pubkey.from_string(json.loads(idl_file(name).read_text())["address"])


def token_info() -> Pubkey:
    """The platform's mint authority."""
    return Pubkey.find_program_address([b"token_info_2022"], address("platform_mint"))[0]
