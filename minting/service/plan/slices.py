"""Dealing a batch out in slices: whole transactions that one task can hold in memory."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import groupby, zip_longest

from minting.engine.batching import READINGS_A_TRANSACTION, group_by_wallet
from minting.engine.types import Destination, MintBatchData

READINGS_A_SLICE = READINGS_A_TRANSACTION
"""Large enough for many transactions, small enough to stay in memory."""


@dataclass(frozen=True, slots=True)
class Dealt:
    """A payment and where it travels."""

    data: MintBatchData
    slice_number: int
    planned: int | None
    """Number of its transaction in the batch's plan; ``None`` if it was not planned."""
    rent_elsewhere: bool = False
    """Whether an earlier transaction of the plan counts the rent of its account."""
    account_held: int | None = None
    """Lamports at the address of its token account, where the plan found that missing."""


@dataclass(slots=True)
class Deal:
    """Which transaction of a plan pays which group, and which slice holds the transaction.

    Kept by group, not by reading: it is filled while the plan is made and the readings pass by,
    and read when they pass by again to be written down.
    """

    max_tokens: int
    """``BLOCKCHAIN_MAX_TOKENS_PER_TRANSACTION``."""
    _numbers: dict[tuple[str, str], list[int]] = field(default_factory=lambda: defaultdict(list))
    _readings: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    """Readings by transaction."""
    _first: dict[str, int] = field(default_factory=dict)
    """Of wallets in several transactions: the one that counts their account's rent."""
    _held: dict[str, int] = field(default_factory=dict)
    """Of wallets whose accounts are missing: lamports at their addresses."""
    _last: tuple[str, int] = ("", 0)

    def note(self, wallet_address: str, destination: Destination, number: int) -> None:
        """Notes that a group, or the next part of a divided one, travels in a transaction.

        Groups of one wallet follow one another.
        """
        group = destination.group
        if destination.create:
            self._held[wallet_address] = destination.held_lamports
        last_wallet, first = self._last
        if wallet_address != last_wallet:
            self._last = wallet_address, number
        elif number != first:
            self._first[wallet_address] = first
        self._numbers[wallet_address, group.user_id].append(number)
        self._readings[number] += len(group.payments)

    def deal(self, payments: Iterable[MintBatchData]) -> Iterator[Dealt]:
        """Says where each payment travels.

        What the plan does not know, since it was made without a node or the readings changed
        meanwhile, fills slices of its own, cut between groups.

        Args:
            payments: In the order of wallet and user.
        """
        slices = self._slices()
        last = max(slices.values(), default=-1)
        room = 0
        for (wallet, user), rows in groupby(payments, key=_group_of):
            known = {row.reading_id: row for row in rows}
            groups = group_by_wallet(list(known.values()), max_tokens=self.max_tokens)
            # A group that changed may have more parts than were planned.
            numbers = self._numbers.get((wallet, user), [])[: len(groups)]
            for group, number in zip_longest(groups, numbers):
                size = len(group.payments)
                if number is None and size > room:
                    last, room = last + 1, READINGS_A_SLICE
                room -= size if number is None else 0
                slice_number = last if number is None else slices[number]
                elsewhere = number is not None and self._first.get(wallet, number) != number
                held = None if number is None else self._held.get(wallet)
                for payment in group.payments:
                    yield Dealt(known[payment.reading_id], slice_number, number, elsewhere, held)

    def _slices(self) -> dict[int, int]:
        """The slice of each transaction: consecutive ones together, as long as one holds them."""
        slices: dict[int, int] = {}
        current, filled = -1, READINGS_A_SLICE
        for number, size in sorted(self._readings.items()):
            if filled + size > READINGS_A_SLICE:
                current, filled = current + 1, 0
            slices[number] = current
            filled += size
        return slices


def _group_of(data: MintBatchData) -> tuple[str, str]:
    return data.wallet_address, data.user_id
