"""Minting directly through SPL Token or Token-2022."""

from __future__ import annotations

from collections.abc import Sequence

from solders.instruction import Instruction
from solders.pubkey import Pubkey

from minting.engine.instructions import mint_to_checked
from minting.engine.programs.base import Minted
from minting.engine.types import Destination, MintFacts

# spl_token::instruction::TokenInstruction::MintToChecked: tag, amount (u64 LE), decimals (u8).
_MINT_TO_CHECKED = 14
_DATA_LENGTH = 10


class SplTokenProgram:
    """One ``MintToChecked`` per group; which token program, the mint says."""

    executed: int = 1
    units: int = 0
    """119 for p-token: sixty of them are far from any limit."""

    def mint(
        self, destination: Destination, mint: MintFacts, authority: Pubkey
    ) -> Sequence[Instruction]:
        """The one instruction that mints the group's sum to its token account."""
        return (mint_to_checked(destination, mint, authority),)

    def address(self, mint: MintFacts) -> Pubkey:
        """The token program of the mint."""
        return mint.token_program

    def signers(self, authority: Pubkey) -> tuple[Pubkey, ...]:
        """The mint's authority."""
        return (authority,)

    def minters(self) -> None:
        """Our authority, and nobody else."""

    def explain(self, code: int) -> str | None:  # noqa: ARG002 — the protocol's
        """The token program's codes are ``blame``'s to judge."""
        return None

    def read(self, instruction: Instruction) -> Minted:
        """Decodes a ``MintToChecked`` with one signing authority, by hand.

        Not with the library that built it: a fault there must not hide itself.

        Raises:
            ValueError: If it is another instruction.
        """
        data, accounts = instruction.data, instruction.accounts
        if len(data) != _DATA_LENGTH or data[0] != _MINT_TO_CHECKED or len(accounts) != 3:
            raise ValueError("not a MintToChecked with one authority")
        mint, token_account, authority = accounts
        return Minted(
            mint=mint.pubkey,
            token_account=token_account.pubkey,
            authority=authority.pubkey,
            base_units=int.from_bytes(data[1:9], "little"),
            decimals=data[9],
        )
