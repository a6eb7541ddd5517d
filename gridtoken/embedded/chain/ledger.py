"""The local chain as a state machine: no socket and no clock, every slot is asked for.

`advance` makes the next slot. Its transactions are executed against the newest state, and what
each block changed is kept as an undo log until long after it is final: reading through the logs
gives the state at any commitment, rolling them back gives a fork.
"""

from __future__ import annotations

import hashlib
import secrets
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from threading import RLock
from typing import Any

from solders.account import Account
from solders.clock import Clock
from solders.hash import Hash
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from solders.signature import Signature

from gridtoken.embedded.chain.bank import Bank
from gridtoken.embedded.chain.block import Bids, Block, Landed, Status
from gridtoken.embedded.chain.budget import budget_of, price_of
from gridtoken.embedded.chain.draft import Draft
from gridtoken.embedded.chain.errors import Refusal
from gridtoken.embedded.chain.machine import BPF_LOADER, SYSTEM_PROGRAM, Machine, Outcome
from gridtoken.embedded.chain.mempool import Mempool, Pending
from gridtoken.embedded.chain.rules import (
    MAX_LAG,
    MAX_PROCESSING_AGE,
    SLOT_HASHES,
    SLOTS_PER_EPOCH,
    STATUS_CACHE_ROOTS,
    Commitment,
    Rules,
)
from gridtoken.embedded.chain.store import Changes, Store
from gridtoken.embedded.chain.transaction import DecodedTransaction, decode

FAUCET_LAMPORTS = 500_000_000 * 10**9
"""All there is at genesis, as on a test validator."""
GENESIS_UNIX_MS = 1_700_000_000_000
"""When a chain starts whose clock nobody sets."""
FORGOTTEN = 1_000
"""Refused transactions that are remembered for whoever asks why."""


class Ledger:
    """All there is of the chain. Its methods may be called from several threads."""

    def __init__(self, directory: Path, rules: Rules | None = None) -> None:
        self.rules = rules or Rules()
        self.lock = RLock()
        self.machine = Machine()
        self.store = Store(directory)
        self.mempool = Mempool()
        self.genesis_hash = Hash.default()
        self.refused: deque[tuple[Signature, Any]] = deque(maxlen=FORGOTTEN)
        self._slot = 0
        self._tip_height = 0
        self._blocks: dict[int, Block] = {}
        self._heights: dict[Hash, int] = {}
        self._undo: dict[int, dict[Pubkey, Account | None]] = {}
        self._statuses: dict[Signature, Status] = {}
        self._landed_at: dict[int, list[Signature]] = {}
        self._bids: dict[int, Bids] = {}
        self._draft: Draft | None = None
        self._restore()

    def close(self) -> None:
        """Keeps what is waiting and releases the directory."""
        with self.lock:
            self._abandon_draft()
            self.store.keep_mempool(pending.decoded.raw for pending in self.mempool)
            self.store.close()

    # What there is

    @property
    def tip(self) -> Block:
        """The newest block."""
        return self._blocks[self._tip_height]

    @property
    def slot(self) -> int:
        """The newest slot, with or without a block."""
        return self._slot

    @property
    def faucet(self) -> Keypair:
        """Who holds everything at genesis and gives airdrops."""
        seed = hashlib.sha256(b"faucet" + bytes(self.genesis_hash)).digest()
        return Keypair.from_seed(seed)

    def bank(self, commitment: Commitment = "processed", lag: int = 0) -> Bank:
        """Returns the state at a commitment, as a node sees it that is `lag` blocks behind."""
        behind = self.rules.depth(commitment) + min(lag, MAX_LAG)
        with self.lock:
            return Bank(self, self._blocks[max(self._tip_height - behind, 0)])

    def block(self, height: int) -> Block | None:
        """Returns a recent block by height."""
        return self._blocks.get(height)

    def height_of(self, blockhash: Hash) -> int | None:
        """Returns the height of the recent block that a blockhash comes from."""
        return self._heights.get(blockhash)

    def status(self, signature: Signature) -> Status | None:
        """Returns a transaction's status from the cache of recent blocks."""
        return self._statuses.get(signature)

    def bids_at(self, height: int) -> Bids:
        """Returns what the transactions of a block bid."""
        return self._bids.get(height, Bids())

    def account_at(self, height: int, key: Pubkey) -> Account | None:
        """Returns an account as it was after the block of a height."""
        with self.lock:
            for above in range(height + 1, self._tip_height + 1):
                log = self._undo.get(above)
                if log is not None and key in log:
                    return log[key]
            if self._draft is not None and key in self._draft.undo:
                return self._draft.undo[key]
            return self.machine.get(key)

    def differences(self, height: int) -> dict[Pubkey, Account | None]:
        """Returns what every account held that changed since the block of a height."""
        with self.lock:
            merged = dict(self._draft.undo) if self._draft is not None else {}
            for above in range(self._tip_height, height, -1):
                merged |= self._undo.get(above, {})
            return merged

    # What happens

    def send(self, decoded: DecodedTransaction, *, slots_late: int = 0) -> None:
        """Gives a transaction to the leaders; whether it lands is another matter."""
        with self.lock:
            self.mempool.add(Pending(decoded, self._slot + slots_late, price_of(decoded)))

    def simulate(self, decoded: DecodedTransaction, bank: Bank, *, dated: bool = True) -> Outcome:
        """Executes a transaction on a bank and forgets it.

        Raises:
            Refusal: If a leader would not take it.
        """
        with self.lock:
            if dated and bank.last_valid_height(decoded.blockhash) is None:
                raise Refusal("BlockhashNotFound")
            seen = self._statuses.get(decoded.signature)
            if dated and seen is not None and seen.height <= bank.height:
                raise Refusal("AlreadyProcessed")
            keys = (*self.machine.keys_of(decoded), *self.machine.lookup_tables(decoded))
            older = {key: bank.account(key) for key in keys}
            return self.machine.rehearse(decoded, budget_of(decoded), older)

    def advance(self, unix_ms: int | None = None, capacity: int | None = None) -> Block | None:
        """Makes the next slot at once; returns its block, or None if the slot is skipped."""
        for _ in self.steps(unix_ms, capacity):
            pass
        return self.tip if self.tip.slot == self._slot else None

    def advance_blocks(self, count: int, *, capacity: int | None = None) -> None:
        """Makes slots until there are so many more blocks."""
        goal = self._tip_height + count
        while self._tip_height < goal:
            self.advance(capacity=capacity)

    def steps(
        self, unix_ms: int | None = None, capacity: int | None = None, others_bid: int = 0
    ) -> Iterator[None]:
        """Makes the next slot in small steps, so that a server can answer in between.

        Nobody sees anything of the block before the last step.

        Args:
            unix_ms: What the clock says.
            capacity: How many transactions of ours it takes at most.
            others_bid: What the others bid that fill it, in micro-lamports per compute unit: who
                bids less waits.
        """
        with self.lock:
            self._abandon_draft()
            self._slot += 1
            if self._skips(self._slot):
                return
            draft = self._draft = self._new_draft(unix_ms, capacity, others_bid)
        while self._draft is draft:
            with self.lock:
                if not self._take_one(draft):
                    self._seal(draft)
                    return
            yield

    def fork(self, depth: int) -> list[Signature]:
        """Replaces the newest blocks, none of them final, by empty ones of another fork.

        Returns:
            The signatures of the transactions that are gone.
        """
        with self.lock:
            self._abandon_draft()
            final = max(self._tip_height - self.rules.finalized_after, 0)
            lost = self._roll_back(max(self._tip_height - depth, final))
            # The other fork is as long, so that no height that was seen is ever taken back.
            self.advance_blocks(len(lost), capacity=0)
        return [signature for signatures in lost for signature in signatures]

    def set_account(self, key: Pubkey, account: Account | None) -> None:
        """Overwrites an account, at every commitment, as if it had always been so."""
        with self.lock:
            for log in self._undo.values():
                log.pop(key, None)
            if self._draft is not None:
                self._draft.undo.pop(key, None)
            self.machine.put(key, account)
            self.store.impose(key, account)

    def add_program(self, program: Pubkey, elf: bytes) -> None:
        """Puts a program on the chain, as if it had always been there."""
        self.set_account(
            program, Account(self.machine.rent(len(elf)), elf, BPF_LOADER, executable=True)
        )

    def expire_blockhashes(self) -> None:
        """Lets so many empty blocks pass that no present blockhash can land any more."""
        self.advance_blocks(MAX_PROCESSING_AGE + 2, capacity=0)

    # How a block comes about

    def _new_draft(self, unix_ms: int | None, capacity: int | None, others_bid: int) -> Draft:
        tip = self.tip
        passed = (self._slot - tip.slot) * self.rules.slot_ms
        now = max(tip.unix_ms, tip.unix_ms + passed if unix_ms is None else unix_ms)
        epoch = self._slot // SLOTS_PER_EPOCH
        hashes = [
            (block.slot, block.blockhash)
            for height in range(tip.height, max(tip.height - SLOT_HASHES, -1), -1)
            if (block := self._blocks.get(height))
        ]
        self.machine.turn(Clock(self._slot, 0, epoch, epoch + 1, now // 1000), hashes)
        return Draft(
            tip,
            self._slot,
            now,
            rules=self.rules,
            waiting=self.mempool.ready(self._slot, least_bid=others_bid),
            capacity=capacity,
            others_bid=others_bid,
        )

    def _take_one(self, draft: Draft) -> bool:
        """Executes the next waiting transaction; False when the block is complete."""
        pending = draft.next()
        if pending is None:
            return False
        try:
            self._check(pending.decoded, draft)
            landed = draft.execute(pending.decoded, self.machine)
        except Refusal as refusal:
            self.refused.append((pending.decoded.signature, refusal.err))
            self.mempool.remove(pending.decoded.signature)
            return True
        if landed:
            self.mempool.remove(pending.decoded.signature)
        return landed

    def _check(self, decoded: DecodedTransaction, draft: Draft) -> None:
        made = self._heights.get(decoded.blockhash)
        # The hash ages with the parent block: a transaction can land one block after its last
        # valid block height, as on mainnet (Agave is_hash_valid_for_age).
        if made is None or draft.parent.height - made > MAX_PROCESSING_AGE:
            raise Refusal("BlockhashNotFound")
        if decoded.signature in self._statuses or decoded.signature in draft.signatures:
            raise Refusal("AlreadyProcessed")

    def _seal(self, draft: Draft) -> None:
        block = draft.block()
        changes: Changes = {
            key: (before, self.machine.get(key)) for key, before in draft.undo.items()
        }
        self.store.append(block, draft.landed, changes, self._undo_floor(block.height))
        self._undo[block.height] = draft.undo
        self._bids[block.height] = draft.bids
        self._draft = None
        self._publish(block, [(one.signature, _status(one)) for one in draft.landed])

    def _publish(self, block: Block, landed: list[tuple[Signature, Status]]) -> None:
        self._blocks[block.height] = block
        self._heights[block.blockhash] = block.height
        self._tip_height = block.height
        self._statuses.update(landed)
        self._landed_at[block.height] = [signature for signature, _ in landed]
        self._undo.pop(self._undo_floor(block.height) - 1, None)
        self._forget(block.height - self.rules.finalized_after - STATUS_CACHE_ROOTS - 1)

    def _forget(self, height: int) -> None:
        for signature in self._landed_at.pop(height, ()):
            self._statuses.pop(signature, None)
        self._bids.pop(height, None)
        old = self._blocks.pop(height, None) if height > 0 else None
        if old is not None:
            self._heights.pop(old.blockhash, None)

    def _undo_floor(self, tip: int) -> int:
        return tip - self.rules.finalized_after - MAX_LAG

    def _abandon_draft(self) -> None:
        draft, self._draft = self._draft, None
        if draft is not None:
            for key, account in draft.undo.items():
                self.machine.put(key, account)
            for one in draft.executed:
                self.mempool.add(one)

    def _roll_back(self, ground: int) -> list[list[Signature]]:
        restored: dict[Pubkey, Account | None] = {}
        lost: list[list[Signature]] = []
        for height in range(self._tip_height, ground, -1):
            restored |= self._undo.pop(height, {})
            self._heights.pop(self._blocks.pop(height).blockhash)
            self._bids.pop(height, None)
            lost.append(self._landed_at.pop(height))
        for key, account in restored.items():
            self.machine.put(key, account)
        for signatures in lost:
            for signature in signatures:
                del self._statuses[signature]
        self.store.rewind(ground, restored)
        self._tip_height = ground
        return lost

    def _skips(self, slot: int) -> bool:
        if not self.rules.skip_one_in:
            return False
        digest = hashlib.sha256(bytes(self.genesis_hash) + slot.to_bytes(8, "little")).digest()
        return int.from_bytes(digest[:8], "little") % self.rules.skip_one_in == 0

    # How a ledger begins, and begins again

    def _restore(self) -> None:
        height = self.store.height()
        if height is None:
            self._begin()
            return
        self.genesis_hash = Hash(self.store.fact("genesis") or b"")
        for key, account in self.store.accounts():
            self.machine.put(key, account)
        self._undo = self.store.undo(self._undo_floor(height))
        oldest = max(height - self.rules.finalized_after - STATUS_CACHE_ROOTS, 0)
        for block in self.store.blocks(oldest):
            self._publish(block, [])
            self._slot = block.slot
        for signature, status in self.store.statuses(oldest):
            self._statuses[signature] = status
            self._landed_at[status.height].append(signature)
        for raw in self.store.take_mempool():
            self.send(decode(raw))

    def _begin(self) -> None:
        self.genesis_hash = Hash(secrets.token_bytes(32))
        self.store.remember("genesis", bytes(self.genesis_hash))
        key = self.faucet.pubkey()
        treasure = Account(FAUCET_LAMPORTS, b"", SYSTEM_PROGRAM)
        self.machine.put(key, treasure)
        first = Block(0, 0, 0, self.genesis_hash, Hash.default(), GENESIS_UNIX_MS, 0, 0)
        self.store.append(first, [], {key: (None, treasure)}, 1)
        self._undo[0] = {}
        self._slot = 0
        self._publish(first, [])


def _status(landed: Landed) -> Status:
    return Status(landed.slot, landed.height, landed.err)
