"""A courier: sends what is due, to many endpoints at once and to each in order.

Database phases and network phases alternate in one thread. An endpoint has one request at a time;
a slow one keeps nobody waiting, since whichever answers first is written down first.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

import structlog
from django.conf import settings
from django.db import DatabaseError, connection

from minting.models import WebhookEndpoint
from minting.service.drive.recover import slices_wait
from minting.webhooks import ledger, outbox
from minting.webhooks.ledger import Claim, Errand
from minting.webhooks.post import Answer, Post, Resolver

log = structlog.get_logger(__name__)

ENDPOINTS_AT_ONCE = 16
"""Requests that fly together."""

STINT = 20.0
"""Seconds after which nothing new is begun: minting wants its worker back."""

FAIR_SHARE = 3.0
"""Seconds of work that nobody else's need takes away: with minting for hours, others are told."""

LOOK_ASIDE = 1.0
"""Seconds between two looks at whether slices wait, which then go before."""

TURN = 8
"""Messages an endpoint gets before another one that waits has its turn."""


@dataclass(slots=True)
class CourierReport:
    """What one courier did."""

    events: int = 0
    sent: int = 0
    accepted: int = 0


@dataclass(slots=True)
class _Turn:
    """What one endpoint gets before others have their turn."""

    claim: Claim
    left: int = TURN


@dataclass(slots=True)
class Courier:
    """One task's work."""

    post: Post
    runner: asyncio.Runner
    started: float
    """``time.monotonic()``."""
    busy: Callable[[], bool]
    """Whether somebody else needs this worker."""
    report: CourierReport
    flying: dict[asyncio.Task[Answer], tuple[_Turn, Errand]] = field(default_factory=dict)
    held: set[Claim] = field(default_factory=set)
    look_at: float = field(init=False)
    ending: bool = False

    def __post_init__(self) -> None:
        self.look_at = self.started + FAIR_SHARE

    def run(self) -> None:
        """Until nothing is due, the stint is over, or minting needs the worker."""
        while True:
            self._begin()
            if not self.flying:
                return
            done, _ = self.runner.run(_first_of(set(self.flying)))
            for task in done:
                self._settle(task)

    def hand_back(self) -> None:
        """After the end came early: nothing of ours flies any more, so others may send at once."""
        # Without the database, leases run out by themselves.
        with suppress(DatabaseError):
            for claim in self.held:
                ledger.release(claim)

    def _begin(self) -> None:
        """Claims endpoints for the hands that are free, and sends to each its first."""
        if self._is_over():
            return
        for claim in ledger.claim_endpoints(ENDPOINTS_AT_ONCE - len(self.flying)):
            self.held.add(claim)
            self._go_on(_Turn(claim))

    def _go_on(self, turn: _Turn) -> None:
        """Sends the next that is due, or lets the endpoint go."""
        errand = ledger.begin(turn.claim) if turn.left and not self._is_over() else None
        if errand is None:
            ledger.release(turn.claim)
            self.held.discard(turn.claim)
            return
        turn.left -= 1
        self.report.sent += 1
        self.flying[self.runner.run(_start(self.post, errand))] = (turn, errand)

    def _settle(self, task: asyncio.Task[Answer]) -> None:
        turn, errand = self.flying.pop(task)
        answer = task.result()
        ledger.record(errand, answer)
        self.report.accepted += answer.error == ""
        self._go_on(turn)

    def _is_over(self) -> bool:
        now = time.monotonic()
        if not self.ending and now >= self.look_at:
            self.look_at = now + LOOK_ASIDE
            self.ending = now >= self.started + STINT or self.busy()
        return self.ending


def deliver(
    *,
    busy: Callable[[], bool] = slices_wait,
    resolver: Resolver | None = None,
    ssl_context: ssl.SSLContext | None = None,
) -> CourierReport:
    """Hands out what happened and sends what is due.

    Args:
        busy: Whether somebody else needs this worker.
        resolver: Instead of the system's.
        ssl_context: Instead of the usual.
    """
    report = CourierReport(events=outbox.hand_out())
    if not WebhookEndpoint.objects.due().exists():
        return report
    with asyncio.Runner() as runner:
        post = runner.run(_open(resolver, ssl_context))
        courier = Courier(post, runner, time.monotonic(), busy, report)
        try:
            courier.run()
        except SystemExit:
            # A stop, perhaps in the middle of a query: that connection takes no other.
            connection.close()
            raise
        finally:
            runner.run(_close(post, set(courier.flying)))
            courier.hand_back()
    log.info("webhooks_sent", events=report.events, sent=report.sent, accepted=report.accepted)
    return report


async def _open(resolver: Resolver | None, ssl_context: ssl.SSLContext | None) -> Post:
    return Post(
        allow_private=settings.WEBHOOK_ALLOW_PRIVATE,
        at_once=ENDPOINTS_AT_ONCE,
        resolver=resolver,
        ssl_context=ssl_context,
    )


async def _start(post: Post, errand: Errand) -> asyncio.Task[Answer]:
    return asyncio.create_task(post.send(errand.letter))


async def _first_of(
    flying: set[asyncio.Task[Answer]],
) -> tuple[set[asyncio.Task[Answer]], set[asyncio.Task[Answer]]]:
    return await asyncio.wait(flying, return_when=asyncio.FIRST_COMPLETED)


async def _close(post: Post, flying: set[asyncio.Task[Answer]]) -> None:
    """What still flies is cut off; its attempts are closed by whoever claims the endpoint next."""
    for task in flying:
        task.cancel()
    await asyncio.gather(*flying, return_exceptions=True)
    await post.__aexit__(None, None, None)
