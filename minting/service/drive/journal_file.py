"""The journal's second copy: one line a signed transaction, fsynced before the wire.

A memo's root does not tell which readings were paid. Kept apart from the database's backups, this
file does: a database restored from before can be healed from it (engine.md, "The gate").
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Sequence
from contextlib import suppress
from datetime import date
from pathlib import Path

from minting.engine.errors import JournalUnwritable
from minting.engine.types import SignedTransaction

FORMAT = 1


def append(
    directory: Path, signed: Sequence[SignedTransaction], *, genesis_hash: str, day: date
) -> Path:
    """Appends the leaves of ``signed`` and returns when the disk has them.

    Many workers append to the day's file; a lock keeps their lines whole.

    Raises:
        JournalUnwritable: the disk does not take it; nothing may be sent then.
    """
    path = directory / f"journal-{day.isoformat()}.jsonl"
    lines = "".join(_line(item, genesis_hash) + "\n" for item in signed).encode()
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        fresh = not path.exists()
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            _write(descriptor, lines)
        finally:
            os.close(descriptor)
        if fresh:
            _sync_directory(directory)
    except OSError as error:
        raise JournalUnwritable(f"{path} cannot be written: {error.strerror}") from error
    return path


def _write(descriptor: int, lines: bytes) -> None:
    """All of the lines, or none; none of them behind half a line that somebody left who died."""
    end = os.fstat(descriptor).st_size
    if end and os.pread(descriptor, 1, end - 1) != b"\n":
        lines = b"\n" + lines
    try:
        written = 0
        while written < len(lines):
            written += os.write(descriptor, lines[written:])
        os.fsync(descriptor)
    except OSError:
        with suppress(OSError):  # where not even that goes, who comes next writes below it
            os.ftruncate(descriptor, end)
        raise


def _line(signed: SignedTransaction, genesis_hash: str) -> str:
    wallets = {
        payment.reading_id: str(destination.group.wallet)
        for destination in signed.plan.destinations
        for payment in destination.group.payments
    }
    return json.dumps(
        {
            "format": FORMAT,
            "signature": str(signed.signature),
            "genesis_hash": genesis_hash,
            "batch_id": str(signed.plan.batch_id),
            "root": signed.memo_root.hex(),
            "leaves": [
                [str(payment.reading_id), wallets[payment.reading_id], payment.base_units]
                for payment in signed.plan.payments
            ],
        },
        separators=(",", ":"),
    )


def _sync_directory(directory: Path) -> None:
    """A new file's name is on disk only when its directory is."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
