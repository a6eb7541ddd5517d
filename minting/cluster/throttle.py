"""At most so many requests a second, over everything that shares one throttle."""

from __future__ import annotations

import asyncio


class Throttle:
    """Spaces requests evenly, so that no second ever holds more than was promised.

    A bucket that may be emptied at once would let twice the rate through in its first second,
    which is what providers punish; even spacing costs a lone caller nothing.
    """

    def __init__(self, per_second: float) -> None:
        if per_second <= 0:
            raise ValueError("A throttle needs a rate above zero")
        self._interval = 1 / per_second
        self._next_turn = 0.0

    async def wait_turn(self) -> None:
        """Returns when the caller may send one request; turns are dealt out in order of asking."""
        now = asyncio.get_running_loop().time()
        turn = max(now, self._next_turn)
        self._next_turn = turn + self._interval
        if turn > now:
            await asyncio.sleep(turn - now)
