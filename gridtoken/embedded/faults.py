"""What may go wrong between a client and the chain, on demand and repeatable."""

from __future__ import annotations

import json
import random
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, fields
from enum import Enum, auto
from typing import Any


@dataclass(frozen=True, slots=True)
class FaultPlan:
    """How often each thing goes wrong; nothing does by default.

    Probabilities are from 0 to 1. The same seed and the same requests give the same faults.
    """

    seed: int = 0
    drop: float = 0.0
    """A sent transaction is answered with its signature and never lands."""
    delay: float = 0.0
    """A sent transaction reaches a leader only `delay_slots` later."""
    delay_slots: int = 8
    lost_reply: float = 0.0
    """The request is executed, then the connection breaks or the answer is a 503."""
    unavailable: float = 0.0
    """The request is not executed and answered with a 503."""
    too_many: float = 0.0
    """The request is not executed and answered with a 429 and Retry-After."""
    error: float = 0.0
    """The request is not executed and answered with a JSON-RPC error."""
    error_code: int = -32603
    error_message: str = "Internal error"
    stale_blockhash: float = 0.0
    """getLatestBlockhash answers one that is `stale_blocks` old, with its own last valid height;
    so does simulateTransaction of the one that it puts in."""
    stale_blocks: int = 140
    lag_slots: int = 0
    """Every answer is that of a node so many blocks behind."""
    requests_per_second: int | None = None
    """More are answered with a 429 and Retry-After."""
    retry_after: int = 1
    """Seconds that a 429 asks to wait."""
    block_capacity: int | None = None
    """Transactions that land in one block at most; 0 lets nothing land."""
    others_bid: int = 0
    """Micro-lamports per compute unit that others bid, who fill the blocks: what bids less waits,
    and getRecentPrioritizationFees tells it of these blocks."""
    no_v1: bool = False
    """The node is of a release that cannot decode v1 transactions."""
    pruned_below: int = 0
    """The node keeps no history of slots below this one; what landed there is null."""
    methods: tuple[str, ...] = ()
    """The methods that are struck; all if empty."""

    @classmethod
    def parsed(cls, values: dict[str, Any]) -> FaultPlan:
        """Reads a plan from JSON.

        Raises:
            ValueError: If a name is not one of a plan's fields.
        """
        names = {field.name for field in fields(cls)}
        if unknown := set(values) - names:
            raise ValueError(f"no such fault: {', '.join(sorted(unknown))}")
        return cls(**{**values, "methods": tuple(values.get("methods", ()))})


class Reply(Enum):
    """What happens to a request as a whole."""

    ANSWER = auto()
    LOSE_BY_CLOSING = auto()
    LOSE_BY_503 = auto()
    UNAVAILABLE = auto()
    TOO_MANY = auto()
    ERROR = auto()


@dataclass(frozen=True, slots=True)
class Fate:
    """What was drawn for one request."""

    reply: Reply = Reply.ANSWER
    dropped: bool = False
    slots_late: int = 0
    stale_blocks: int = 0


class Faults:
    """Draws the fate of each request from a plan."""

    def __init__(
        self, plan: FaultPlan | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._clock = clock
        self._recent: deque[float] = deque()
        self.plan = plan or FaultPlan()

    @property
    def plan(self) -> FaultPlan:
        """The plan in force; a new one starts its seed anew."""
        return self._plan

    @plan.setter
    def plan(self, plan: FaultPlan) -> None:
        self._plan = plan
        self._random = random.Random(plan.seed)  # noqa: S311 - repeatable, nothing secret

    def draw(self, body: bytes) -> Fate:
        """Returns what happens to a request."""
        plan = self.plan
        if self._over_rate(plan):
            return Fate(Reply.TOO_MANY)
        if plan.methods and not set(plan.methods) & set(_methods(body)):
            return Fate()
        return Fate(
            reply=self._reply(plan),
            dropped=self._happens(plan.drop),
            slots_late=plan.delay_slots if self._happens(plan.delay) else 0,
            stale_blocks=plan.stale_blocks if self._happens(plan.stale_blockhash) else 0,
        )

    def _reply(self, plan: FaultPlan) -> Reply:
        if self._happens(plan.too_many):
            return Reply.TOO_MANY
        if self._happens(plan.unavailable):
            return Reply.UNAVAILABLE
        if self._happens(plan.error):
            return Reply.ERROR
        if self._happens(plan.lost_reply):
            return Reply.LOSE_BY_CLOSING if self._happens(0.5) else Reply.LOSE_BY_503
        return Reply.ANSWER

    def _happens(self, probability: float) -> bool:
        return probability > 0 and self._random.random() < probability

    def _over_rate(self, plan: FaultPlan) -> bool:
        if plan.requests_per_second is None:
            return False
        now = self._clock()
        while self._recent and self._recent[0] <= now - 1:
            self._recent.popleft()
        if len(self._recent) >= plan.requests_per_second:
            return True
        self._recent.append(now)
        return False


def _methods(body: bytes) -> list[str]:
    """Names the methods that a request or a batch asks for."""
    try:
        request = json.loads(body)
    except ValueError:
        return []
    batch = request if isinstance(request, list) else [request]
    return [str(one.get("method")) for one in batch if isinstance(one, dict)]
