"""Where a way to mint plugs in: what planning and verifying need besides ``MintProgram``.

A program that mints by calling the token program (Anchor) implements the same protocol:
``executed`` and ``units`` then are what a simulation showed.
"""

from __future__ import annotations

from collections.abc import Collection
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

    @property
    def units(self) -> int:
        """Compute units per group; 0 where they are too few to bind anything."""
        ...

    def address(self, mint: MintFacts) -> Pubkey:
        """The program that its instructions call."""
        ...

    def signers(self, authority: Pubkey) -> tuple[Pubkey, ...]:
        """Who signs its instructions."""
        ...

    def minters(self) -> Collection[Pubkey] | None:
        """Who may be the mint's authority; ``None`` where that must be our own."""
        ...

    def explain(self, code: int) -> str | None:
        """What a custom error of its own is called; ``None`` for codes that are not its own."""
        ...

    def read(self, instruction: Instruction) -> Minted:
        """What an instruction mints.

        Raises:
            ValueError: If it is anything else than what ``mint`` builds.
        """
        ...


def signers_of(
    program: ReadableMintProgram, authority: Pubkey, payer: Pubkey | None = None
) -> tuple[Pubkey, ...]:
    """Everybody who signs a transaction, the fee payer first, each once: a fee for each."""
    return tuple(dict.fromkeys((payer or authority, *program.signers(authority))))
