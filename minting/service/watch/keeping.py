"""Figures that many look at: computed by one, and kept for the longer the more they cost."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")

SHARE = 20
"""A figure is kept for so many times what it took: at most a twentieth of one core goes into it,
and what takes a millisecond is asked anew."""


class Kept(Generic[T]):
    """One figure of this process."""

    def __init__(
        self, compute: Callable[[], T], *, least: float = 0.0, most: float = math.inf
    ) -> None:
        """Nothing is computed yet.

        Args:
            compute: What tells it.
            least: Seconds for which it is kept, however little it takes.
            most: And however much.
        """
        self._compute = compute
        self._least = least
        self._most = most
        self._lock = threading.Lock()
        self._value: T | None = None
        self._until = 0.0

    def forget(self) -> None:
        """The next who asks gets a new one."""
        with self._lock:
            self._value = None

    def get(self) -> T:
        """The figure, or what it was a moment ago; who comes meanwhile waits for the same."""
        with self._lock:
            if self._value is None or time.monotonic() >= self._until:
                began = time.monotonic()
                self._value = self._compute()
                now = time.monotonic()
                self._until = now + min(max(SHARE * (now - began), self._least), self._most)
            return self._value
