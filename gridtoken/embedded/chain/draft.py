"""A block in the making: what it has room for, what it holds, and how to take it back."""

from __future__ import annotations

import hashlib
from collections import defaultdict, deque
from collections.abc import Iterable

from solders.account import Account
from solders.hash import Hash
from solders.pubkey import Pubkey
from solders.signature import Signature

from gridtoken.embedded.chain.block import Bids, Block, Landed
from gridtoken.embedded.chain.budget import Budget, block_units, budget_of
from gridtoken.embedded.chain.machine import Machine, Outcome
from gridtoken.embedded.chain.mempool import Pending
from gridtoken.embedded.chain.record import record_of
from gridtoken.embedded.chain.rules import Rules
from gridtoken.embedded.chain.transaction import DecodedTransaction


class Draft:
    """The block of one slot until it is sealed."""

    def __init__(
        self,
        parent: Block,
        slot: int,
        unix_ms: int,
        *,
        rules: Rules,
        waiting: Iterable[Pending],
        capacity: int | None,
        others_bid: int,
    ) -> None:
        self.parent = parent
        self.slot = slot
        self.unix_ms = unix_ms
        self.landed: list[Landed] = []
        self.executed: list[Pending] = []
        self.signatures: set[Signature] = set()
        self.undo: dict[Pubkey, Account | None] = {}
        self._least: int | None = others_bid or None
        self._least_by: dict[Pubkey, int] = {}
        self._rules = rules
        self._capacity = capacity
        self._waiting = deque(waiting)
        self._used = 0
        self._used_by: defaultdict[Pubkey, int] = defaultdict(int)

    def next(self) -> Pending | None:
        """Returns the next transaction to try, or None when the block is complete."""
        if not self._waiting or self._capacity == len(self.landed):
            return None
        pending = self._waiting.popleft()
        self.executed.append(pending)
        return pending

    def execute(self, decoded: DecodedTransaction, machine: Machine) -> bool:
        """Executes a transaction if the block has room for all that it asks for.

        Returns:
            False if it has to wait for the next block.

        Raises:
            Refusal: If it cannot be in any block.
        """
        budget = budget_of(decoded)
        writable = [key for index, key in enumerate(decoded.keys) if decoded.is_writable(index)]
        asked = block_units(
            decoded,
            writable=len(writable),
            executed=budget.compute_units,
            loaded_bytes=budget.loaded_bytes,
        )
        if not self._has_room(asked, writable):
            return False
        outcome = machine.run(decoded, budget)
        # Admitted by what it asks for, charged for what it used, as Agave's cost tracker does.
        used = block_units(
            decoded,
            writable=len(writable),
            executed=outcome.units,
            loaded_bytes=outcome.loaded_bytes,
        )
        self._occupy(used, writable)
        self._record(decoded, budget, outcome, machine, used)
        return True

    @property
    def bids(self) -> Bids:
        """What those bid that are in it, others' transactions among them."""
        return Bids(self._least or 0, self._least_by)

    def block(self) -> Block:
        """Returns the finished block."""
        digest = hashlib.sha256(bytes(self.parent.blockhash) + self.slot.to_bytes(8, "little"))
        for one in self.landed:
            digest.update(bytes(one.signature))
        return Block(
            height=self.parent.height + 1,
            slot=self.slot,
            parent_slot=self.parent.slot,
            blockhash=Hash(digest.digest()),
            parent_hash=self.parent.blockhash,
            unix_ms=self.unix_ms,
            transactions=len(self.landed),
            total_transactions=self.parent.total_transactions + len(self.landed),
        )

    def _has_room(self, units: int, writable: list[Pubkey]) -> bool:
        if self._used + units > self._rules.block_units:
            return False
        limit = self._rules.account_units
        return all(self._used_by[key] + units <= limit for key in writable)

    def _occupy(self, units: int, writable: list[Pubkey]) -> None:
        self._used += units
        for key in writable:
            self._used_by[key] += units

    def _record(
        self,
        decoded: DecodedTransaction,
        budget: Budget,
        outcome: Outcome,
        machine: Machine,
        used: int,
    ) -> None:
        for key, before in outcome.changes().items():
            self.undo.setdefault(key, before)
        price = budget.price
        self._least = price if self._least is None else min(price, self._least)
        for key, writable in zip(outcome.resolved.keys, outcome.resolved.writable, strict=True):
            if writable:
                self._least_by[key] = min(price, self._least_by.get(key, price))
        self.signatures.add(decoded.signature)
        self.landed.append(
            Landed(
                signature=decoded.signature,
                slot=self.slot,
                height=self.parent.height + 1,
                index=len(self.landed),
                time=self.unix_ms // 1000,
                raw=decoded.raw,
                err=outcome.err,
                memo=decoded.memo(),
                record=record_of(outcome, machine.get, used),
                keys=outcome.resolved.keys,
            )
        )
