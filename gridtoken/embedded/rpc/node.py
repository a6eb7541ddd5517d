"""What a method needs to answer: the ledger as this node sees it."""

from __future__ import annotations

from itertools import count
from typing import Any

from solders.keypair import Keypair

from gridtoken.embedded.chain.bank import Bank
from gridtoken.embedded.chain.ledger import Ledger
from gridtoken.embedded.chain.rules import Commitment
from gridtoken.embedded.faults import Fate
from gridtoken.embedded.rpc.error import context_slot_not_reached, node_unhealthy
from gridtoken.embedded.rpc.params import Config

VERSION = "4.3.0"
"""The Agave release whose answers are imitated."""
HEALTHY_DISTANCE = 128
"""Slots a node may be behind and call itself well (Agave DELINQUENT_VALIDATOR_SLOT_DISTANCE)."""
FEATURE_SET = 3_073_396_398


class Node:
    """One RPC node in front of the ledger, with the faults that a node may have of its own."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.lag = 0
        self.fate = Fate()
        self.first_slot = 0
        self.knows_v1 = True
        self._numbers = count()
        self.identity = Keypair.from_seed(bytes(ledger.genesis_hash)).pubkey()

    def next_number(self) -> int:
        """Returns a number that differs from those just before."""
        return next(self._numbers) % 100_000

    def check_health(self) -> None:
        """Refuses to speak for the cluster when too far behind.

        Raises:
            RpcError: -32005 with the number of slots.
        """
        if self.lag > HEALTHY_DISTANCE:
            raise node_unhealthy(self.lag)

    def bank(self, config: Config, default: Commitment = "finalized") -> Bank:
        """Returns the bank that answers a request.

        Raises:
            RpcError: If it is older than the request's minContextSlot allows.
        """
        return self.bank_at(config.commitment(default), config)

    def bank_at(self, commitment: Commitment, config: Config | None = None) -> Bank:
        """Returns the bank of a commitment.

        Raises:
            RpcError: If it is older than the request's minContextSlot allows.
        """
        bank = self.ledger.bank(commitment, self.lag)
        wanted = config.integer("minContextSlot") if config is not None else None
        if wanted is not None and bank.slot < wanted:
            raise context_slot_not_reached(bank.slot)
        return bank


def in_context(bank: Bank, value: Any) -> dict[str, Any]:
    """Returns an answer together with the slot that it holds for."""
    return {"context": {"slot": bank.slot, "apiVersion": VERSION}, "value": value}
