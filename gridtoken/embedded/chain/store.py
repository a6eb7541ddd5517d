"""The ledger on disk: one SQLite database, one transaction a block.

A block is committed here before anyone is shown it, so a process killed at any moment leaves
either the whole block or none of it.
"""

from __future__ import annotations

import fcntl
import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from solders.account import Account
from solders.hash import Hash
from solders.pubkey import Pubkey
from solders.signature import Signature

from gridtoken.embedded.chain.block import Block, HistoryRow, Landed, Status

SCHEMA = """
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS accounts (address BLOB PRIMARY KEY, account BLOB NOT NULL,
    executable INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS blocks (height INTEGER PRIMARY KEY, slot INTEGER NOT NULL UNIQUE,
    parent_slot INTEGER NOT NULL, hash BLOB NOT NULL, parent_hash BLOB NOT NULL,
    unix_ms INTEGER NOT NULL, transactions INTEGER NOT NULL, total INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS undo (height INTEGER NOT NULL, address BLOB NOT NULL, account BLOB,
    PRIMARY KEY (height, address)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS transactions (position INTEGER PRIMARY KEY, signature BLOB NOT NULL
    UNIQUE, height INTEGER NOT NULL, time INTEGER NOT NULL, raw BLOB NOT NULL, err TEXT,
    memo TEXT, record TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS transactions_height ON transactions (height);
CREATE TABLE IF NOT EXISTS addresses (address BLOB NOT NULL, position INTEGER NOT NULL,
    PRIMARY KEY (address, position)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS mempool (place INTEGER PRIMARY KEY, raw BLOB NOT NULL);
"""
LANDED = "position, signature, height, time, raw, err, memo, record"
INDEX_BITS = 20
"""A transaction's position is its slot and, in the low bits, its place in the block."""

Changes = Mapping[Pubkey, tuple[Account | None, Account | None]]
"""What accounts held before and hold after."""


class LedgerInUse(RuntimeError):
    """Another process serves this ledger."""


class Store:
    """Reads and writes the ledger's directory; the only one who does."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._lock = _locked(directory / "lock")
        # The server reads and writes from one thread, its owner may close it from another.
        self._db = sqlite3.connect(
            directory / "ledger.sqlite3", isolation_level=None, check_same_thread=False
        )
        self._db.execute("PRAGMA journal_mode = WAL")
        # Survives kill -9 of this process; a torn disk is not what a local chain is for.
        self._db.execute("PRAGMA synchronous = NORMAL")
        self._db.executescript(f"BEGIN; {SCHEMA} COMMIT;")

    def close(self) -> None:
        """Closes the database and lets the next process in."""
        self._db.close()
        self._lock.close()

    def fact(self, name: str) -> bytes | None:
        """Returns what was remembered under a name."""
        row = self._db.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
        return row[0] if row else None

    def remember(self, name: str, value: bytes) -> None:
        """Keeps a fact for the life of the ledger."""
        self._db.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, value))

    def accounts(self) -> Iterator[tuple[Pubkey, Account]]:
        """Yields all accounts that ever changed, what programs need before the programs."""
        rows = self._db.execute("SELECT address, account FROM accounts ORDER BY executable")
        for address, account in rows:
            yield Pubkey(address), Account.from_bytes(account)

    def blocks(self, first_height: int) -> Iterator[Block]:
        """Yields the blocks from a height upwards."""
        rows = self._db.execute(
            "SELECT * FROM blocks WHERE height >= ? ORDER BY height", (first_height,)
        )
        yield from map(_block, rows)

    def height(self) -> int | None:
        """Returns the height of the newest block."""
        row = self._db.execute("SELECT max(height) FROM blocks").fetchone()
        return None if row is None else row[0]

    def block_at(self, slot: int) -> Block | None:
        """Returns the block of a slot, or None if the slot was skipped."""
        row = self._db.execute("SELECT * FROM blocks WHERE slot = ?", (slot,)).fetchone()
        return _block(row) if row else None

    def slots_between(self, first: int, last: int, limit: int) -> list[int]:
        """Returns the slots that have a block."""
        rows = self._db.execute(
            "SELECT slot FROM blocks WHERE slot BETWEEN ? AND ? ORDER BY slot LIMIT ?",
            (first, last, limit),
        )
        return [slot for (slot,) in rows]

    def undo(self, first_height: int) -> dict[int, dict[Pubkey, Account | None]]:
        """Returns what the accounts held before each block from a height upwards."""
        rows = self._db.execute("SELECT * FROM undo WHERE height >= ?", (first_height,))
        logs: dict[int, dict[Pubkey, Account | None]] = {}
        for height, address, account in rows:
            before = Account.from_bytes(account) if account is not None else None
            logs.setdefault(height, {})[Pubkey(address)] = before
        return logs

    def statuses(self, first_height: int) -> Iterator[tuple[Signature, Status]]:
        """Yields what landed from a height upwards, oldest first."""
        rows = self._db.execute(
            "SELECT signature, position, height, err FROM transactions WHERE height >= ?"
            " ORDER BY position",
            (first_height,),
        )
        for signature, position, height, err in rows:
            slot = position >> INDEX_BITS
            yield Signature.from_bytes(signature), Status(slot, height, _parsed(err))

    def append(
        self, block: Block, landed: Sequence[Landed], changes: Changes, undo_from: int
    ) -> None:
        """Commits a block: all of it or nothing. Forgets undo logs below a height."""
        with self._transaction():
            self._insert_block(block)
            self._insert_transactions(landed)
            self._db.executemany(
                "INSERT INTO undo VALUES (?, ?, ?)",
                [
                    (block.height, bytes(key), bytes(before) if before else None)
                    for key, (before, _) in changes.items()
                ],
            )
            self._write_accounts({key: after for key, (_, after) in changes.items()})
            self._db.execute("DELETE FROM undo WHERE height < ?", (undo_from,))

    def rewind(self, height: int, restored: Mapping[Pubkey, Account | None]) -> None:
        """Takes back every block above a height, with its transactions."""
        with self._transaction():
            self._db.execute(
                "DELETE FROM addresses WHERE position IN"
                " (SELECT position FROM transactions WHERE height > ?)",
                (height,),
            )
            for table in ("transactions", "undo", "blocks"):
                self._db.execute(f"DELETE FROM {table} WHERE height > ?", (height,))  # noqa: S608
            self._write_accounts(restored)

    def impose(self, key: Pubkey, account: Account | None) -> None:
        """Overwrites an account as if it had always been so."""
        with self._transaction():
            self._db.execute("DELETE FROM undo WHERE address = ?", (bytes(key),))
            self._write_accounts({key: account})

    def transaction(self, signature: Signature) -> Landed | None:
        """Returns a landed transaction."""
        row = self._db.execute(
            f"SELECT {LANDED} FROM transactions WHERE signature = ?",  # noqa: S608 - columns only
            (bytes(signature),),
        ).fetchone()
        return _landed(row) if row else None

    def transactions_of(self, height: int) -> list[Landed]:
        """Returns the transactions of a block in order."""
        rows = self._db.execute(
            f"SELECT {LANDED} FROM transactions WHERE height = ?"  # noqa: S608 - columns only
            " ORDER BY position",
            (height,),
        )
        return [_landed(row) for row in rows]

    def status(self, signature: Signature) -> Status | None:
        """Returns where a transaction landed, however long ago."""
        row = self._db.execute(
            "SELECT position, height, err FROM transactions WHERE signature = ?",
            (bytes(signature),),
        ).fetchone()
        return Status(row[0] >> INDEX_BITS, row[1], _parsed(row[2])) if row else None

    def history(
        self,
        address: Pubkey,
        *,
        before: Signature | None,
        until: Signature | None,
        slots: tuple[int, int],
        limit: int,
    ) -> list[HistoryRow]:
        """Returns what named an address in a range of slots, newest first.

        An unknown `before` finds nothing and an unknown `until` stops nothing, as on a node.
        """
        first, end = slots[0] << INDEX_BITS, (slots[1] + 1) << INDEX_BITS
        upper = end if before is None else self._position(before)
        if upper is None:
            return []
        lower = None if until is None else self._position(until)
        rows = self._db.execute(
            "SELECT signature, position, height, time, err, memo FROM addresses"
            " JOIN transactions USING (position)"
            " WHERE address = ? AND position < ? AND position > ?"
            " ORDER BY position DESC LIMIT ?",
            (
                bytes(address),
                min(upper, end),
                max(first - 1, -1 if lower is None else lower),
                limit,
            ),
        )
        return [
            HistoryRow(
                str(Signature.from_bytes(signature)),
                position >> INDEX_BITS,
                position & ((1 << INDEX_BITS) - 1),
                height,
                time,
                _parsed(err),
                memo,
            )
            for signature, position, height, time, err, memo in rows
        ]

    def keep_mempool(self, raws: Iterable[bytes]) -> None:
        """Keeps what has not landed when the server stops."""
        with self._transaction():
            self._db.execute("DELETE FROM mempool")
            self._db.executemany("INSERT INTO mempool (raw) VALUES (?)", [(raw,) for raw in raws])

    def take_mempool(self) -> list[bytes]:
        """Returns what was kept, once."""
        rows = self._db.execute("SELECT raw FROM mempool ORDER BY place").fetchall()
        self._db.execute("DELETE FROM mempool")
        return [raw for (raw,) in rows]

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def _insert_block(self, block: Block) -> None:
        self._db.execute(
            "INSERT INTO blocks VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                block.height,
                block.slot,
                block.parent_slot,
                bytes(block.blockhash),
                bytes(block.parent_hash),
                block.unix_ms,
                block.transactions,
                block.total_transactions,
            ),
        )

    def _insert_transactions(self, landed: Sequence[Landed]) -> None:
        self._db.executemany(
            "INSERT INTO transactions VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (
                    _place(one),
                    bytes(one.signature),
                    one.height,
                    one.time,
                    one.raw,
                    None if one.err is None else json.dumps(one.err),
                    one.memo,
                    json.dumps(one.record, separators=(",", ":")),
                )
                for one in landed
            ],
        )
        self._db.executemany(
            "INSERT INTO addresses VALUES (?, ?)",
            [(bytes(key), _place(one)) for one in landed for key in one.keys],
        )

    def _write_accounts(self, accounts: Mapping[Pubkey, Account | None]) -> None:
        self._db.executemany(
            "INSERT OR REPLACE INTO accounts VALUES (?, ?, ?)",
            [
                (
                    bytes(key),
                    bytes(account or Account(0, b"", Pubkey.default())),
                    bool(account and account.executable),
                )
                for key, account in accounts.items()
            ],
        )

    def _position(self, signature: Signature) -> int | None:
        row = self._db.execute(
            "SELECT position FROM transactions WHERE signature = ?", (bytes(signature),)
        ).fetchone()
        return row[0] if row else None


def _place(landed: Landed) -> int:
    return landed.slot << INDEX_BITS | landed.index


def _block(row: Sequence[Any]) -> Block:
    height, slot, parent_slot, blockhash, parent_hash, unix_ms, transactions, total = row
    return Block(
        height=height,
        slot=slot,
        parent_slot=parent_slot,
        blockhash=Hash(blockhash),
        parent_hash=Hash(parent_hash),
        unix_ms=unix_ms,
        transactions=transactions,
        total_transactions=total,
    )


def _landed(row: Sequence[Any]) -> Landed:
    position, signature, height, time, raw, err, memo, record = row
    return Landed(
        signature=Signature.from_bytes(signature),
        slot=position >> INDEX_BITS,
        height=height,
        index=position & ((1 << INDEX_BITS) - 1),
        time=time,
        raw=raw,
        err=_parsed(err),
        memo=memo,
        record=json.loads(record),
    )


def _parsed(text: str | None) -> Any:
    return None if text is None else json.loads(text)


def _locked(path: Path) -> IO[str]:
    handle = path.open("a")
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        handle.close()
        raise LedgerInUse(f"another process serves the ledger in {path.parent}") from error
    return handle
