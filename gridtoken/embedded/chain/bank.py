"""The state of all accounts as it was after one block: what a commitment level shows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from solders.account import Account
from solders.hash import Hash
from solders.pubkey import Pubkey

from gridtoken.embedded.chain.block import Block
from gridtoken.embedded.chain.machine import Machine
from gridtoken.embedded.chain.rules import MAX_PROCESSING_AGE


class Past(Protocol):
    """Accounts as they are, and what they were after each of the newest blocks: a ledger."""

    @property
    def machine(self) -> Machine:
        """What holds them as they are."""

    def account_at(self, height: int, key: Pubkey) -> Account | None:
        """One as it was after the block of a height."""

    def differences(self, height: int) -> dict[Pubkey, Account | None]:
        """What every account held that changed since the block of a height."""

    def height_of(self, blockhash: Hash) -> int | None:
        """The height of the recent block that a blockhash comes from."""


@dataclass(frozen=True, slots=True)
class Bank:
    """A view, not a copy: it reads through the ledger's undo logs."""

    ledger: Past
    block: Block

    @property
    def slot(self) -> int:
        """The slot that an answer from this bank names as its context."""
        return self.block.slot

    @property
    def height(self) -> int:
        """How many blocks came before."""
        return self.block.height

    def account(self, key: Pubkey) -> Account | None:
        """Returns an account as it was."""
        return self.ledger.account_at(self.height, key)

    def owned_by(self, program: Pubkey) -> dict[Pubkey, Account]:
        """Returns every account that a program owned, ordered by address."""
        found = self.ledger.machine.owned_by(program)
        for key, account in self.ledger.differences(self.height).items():
            found.pop(key, None)
            if account is not None and account.owner == program:
                found[key] = account
        return dict(sorted(found.items(), key=lambda item: bytes(item[0])))

    def last_valid_height(self, blockhash: Hash) -> int | None:
        """Returns the last height at which a blockhash is valid, or None if it is not."""
        made = self.ledger.height_of(blockhash)
        if made is None or not 0 <= self.height - made <= MAX_PROCESSING_AGE:
            return None
        return made + MAX_PROCESSING_AGE
