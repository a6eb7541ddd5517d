"""Where a way to mint plugs in: what planning and verifying need besides ``MintProgram``.

A program that mints by calling the token program (Anchor) implements the same protocol:
``executed`` then counts its inner instructions, as a simulation showed them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from solders.instruction import Instruction
from solders.pubkey import Pubkey

from minting.engine.types import MintFacts, MintProgram


@dataclass(frozen=True, slots=True)
class Minted:
    """What one decoded instruction would mint."""

    mint: Pubkey
    token_account: Pubkey
    authority: Pubkey
    base_units: int
    decimals: int | None
    """``None`` if the instruction does not carry them."""


class ReadableMintProgram(MintProgram, Protocol):
    """A way to mint whose instructions can be read back, so that signed bytes are verified (I6)."""

    @property
    def executed(self) -> int:
        """Instructions executed per group, inner ones included."""
        ...

    def address(self, mint: MintFacts) -> Pubkey:
        """The program that its instructions call."""
        ...

    def read(self, instruction: Instruction) -> Minted:
        """What an instruction mints.

        Raises:
            ValueError: If it is anything else than what ``mint`` builds.
        """
        ...
