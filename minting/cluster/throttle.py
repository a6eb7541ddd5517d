"""At most so many requests a second, over everything on this machine that shares one file.

The file holds the moments of the last turns and nothing else, so there is nothing to hand back: who
waits has reserved nothing, and the lock is the kernel's, gone with its process however that ends.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import struct
import time
from pathlib import Path

from minting.engine.errors import SolanaError

MARGIN = 0.1
"""Turns are so much further apart than the rate asks. A request may reach its node later than its
turn and the ones after it in time; a tenth of a second of such difference is made up for."""

SAVED_FOR = 0.5
"""Seconds for which a turn that nobody took may be made up for."""

MOST_SAVED = 1_000
"""Turns that are made up for at most: the length of the file, in moments."""

LOCKED = 0.001
"""Seconds until one looks again at a file that another process has locked; it needs some 20 µs."""

FROZEN = 1.0
"""Seconds after which a lock counts as that of a stopped process, and the file is made anew. The
stopped one still has its turn once it goes on, which is one request too many."""

_SIZE = struct.calcsize("<d")
"""Bytes of a moment: ``time.monotonic()``, one for all processes of a machine, set by nobody."""


class Throttle:
    """Gives turns so that no second ever holds more of them than were promised.

    What was not asked for half a second is asked at once: minting pauses to sign and to write, and
    need not lose that time. Between a turn and the ``n``-th after it there are always the seconds
    that ``n`` turns take, so unlike a bucket that refills this lets no second have more.

    For one event loop; any number of them, in any number of processes, share ``file``.
    """

    def __init__(self, per_second: float, file: Path) -> None:
        """Opens nothing yet.

        Args:
            per_second: Requests of everybody who shares the file.
            file: Where the last turns are kept. Made when missing, with its folder.
        """
        if per_second <= 0:
            raise ValueError("A throttle needs a rate above zero")
        self._turns = max(1, min(int(per_second * SAVED_FOR), MOST_SAVED))
        self._window = self._turns * (1 + MARGIN) / per_second
        self._file = file
        self._queue = asyncio.Lock()
        self._locked_since: float | None = None

    async def wait_turn(self) -> None:
        """Returns when the caller may send one request; in one event loop first come, first served.

        Raises:
            SolanaError: The file can be neither read nor written.
        """
        # One of this loop at a time: others would only wake up to find the turn taken.
        async with self._queue:
            self._locked_since = None
            while True:
                wait = self._take()
                if not wait:
                    return
                await asyncio.sleep(wait)

    def _take(self) -> float:
        """Takes a turn and returns 0, or the seconds after which to try again."""
        try:
            # Opened each time: whoever finds the file stuck puts another in its place.
            descriptor = self._open()
            try:
                return self._take_from(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise SolanaError(
                f"SOLANA_RPC_MAX_PER_SECOND cannot be kept, nothing was sent: {error}"
            ) from error

    def _open(self) -> int:
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        try:
            return os.open(self._file, flags, 0o660)
        except FileNotFoundError:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            return os.open(self._file, flags, 0o660)

    def _take_from(self, descriptor: int) -> float:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return self._wait_for_lock()
        self._locked_since = None
        now = time.monotonic()
        taken = _read(descriptor, now)
        ours = taken[-self._turns :]
        if len(ours) == self._turns and now - ours[0] < self._window:
            return self._window - (now - ours[0])
        # As many as there were: who has a higher rate than we needs more of them.
        last = [*taken, now][-max(self._turns, len(taken)) :]
        os.pwrite(descriptor, struct.pack(f"<{len(last)}d", *last), 0)
        return 0.0

    def _wait_for_lock(self) -> float:
        now = time.monotonic()
        self._locked_since = self._locked_since or now
        if now - self._locked_since > FROZEN:
            # Killed, it would have let go; stopped, it would hold up everybody.
            self._file.unlink(missing_ok=True)
            self._locked_since = None
        return LOCKED


def _read(descriptor: int, now: float) -> list[float]:
    """The last turns, the oldest first."""
    kept = os.pread(descriptor, _SIZE * MOST_SAVED, 0)
    moments = struct.unpack_from(f"<{len(kept) // _SIZE}d", kept)
    # A turn in the future was taken before this machine was started again.
    return [moment for moment in moments if moment <= now]
