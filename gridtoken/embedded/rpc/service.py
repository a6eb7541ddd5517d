"""The chain as a web application: the clock, the RPC endpoint, and the faults in between."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket

from gridtoken.embedded.chain.ledger import Ledger
from gridtoken.embedded.faults import Fate, Faults, Reply
from gridtoken.embedded.rpc.control import Control
from gridtoken.embedded.rpc.dispatch import Rpc, failed, written
from gridtoken.embedded.rpc.error import INTERNAL_ERROR, RpcError
from gridtoken.embedded.rpc.node import Node
from gridtoken.embedded.rpc.websocket import Connection, endpoint

logger = logging.getLogger(__name__)

MAX_BODY_BYTES = 50 * 1024
"""Longest request a node reads (Agave MAX_REQUEST_BODY_SIZE)."""
STEP_SECONDS = 0.004
"""How long a block may keep the event loop before requests get a turn."""


class Service:
    """One ledger, its clock and its web application."""

    def __init__(self, ledger: Ledger, *, faults: Faults | None = None, control: bool = False):
        self.ledger = ledger
        self.faults = faults or Faults()
        self.node = Node(ledger)
        self.rpc = Rpc(self.node)
        self.paused = False
        self.refused = 0
        """Requests answered with a 429; they are not among ``rpc.requests``."""
        self._failure: BaseException | None = None
        self.turn = asyncio.Lock()
        """Held while a slot is made: whoever rewrites the chain waits for it."""
        self.connections: set[Connection] = set()
        self.on_failure: Callable[[], None] = lambda: None
        """Called when the clock broke: a chain that stands still must not look alive."""
        routes: list[BaseRoute] = [
            Route("/", self._answer, methods=["POST"]),
            Route("/health", self._health, methods=["GET"]),
            WebSocketRoute("/", self._subscribe),
        ]
        if control:
            routes.append(Route("/control", Control(self).endpoint, methods=["POST"]))
        self.app = Starlette(
            routes=routes,
            lifespan=self._lifespan,
            exception_handlers={Exception: _broken},
        )

    async def make_slot(self) -> None:
        """Makes the next slot, answering requests in between."""
        async with self.turn:
            plan = self.faults.plan
            steps = self.ledger.steps(int(time.time() * 1000), plan.block_capacity, plan.others_bid)
            started = time.perf_counter()
            for _ in steps:
                if time.perf_counter() - started > STEP_SECONDS:
                    await asyncio.sleep(0)
                    started = time.perf_counter()
        for connection in list(self.connections):
            connection.block_made()

    async def _tick(self) -> None:
        """Makes a slot whenever one is due; a slow one shortens the wait for the next."""
        loop = asyncio.get_running_loop()
        seconds = self.ledger.rules.slot_ms / 1000
        due = loop.time() + seconds
        while True:
            await asyncio.sleep(max(due - loop.time(), 0))
            if not self.paused:
                await self.make_slot()
            due = max(due + seconds, loop.time())

    @asynccontextmanager
    async def _lifespan(self, _app: Starlette) -> AsyncIterator[None]:
        ticking = asyncio.create_task(self._tick())
        ticking.add_done_callback(self._stopped)
        try:
            yield
        finally:
            ticking.cancel()
            await asyncio.wait([ticking])
            self.ledger.close()

    def _stopped(self, ticking: asyncio.Task[None]) -> None:
        if not ticking.cancelled():
            self._failure = ticking.exception()
            self.on_failure()

    def check_clock(self) -> None:
        """Raises what broke the clock, if anything did."""
        if self._failure is not None:
            raise self._failure

    async def _subscribe(self, socket: WebSocket) -> None:
        await endpoint(self.node, self.connections, socket)

    async def _health(self, _request: Request) -> Response:
        return PlainTextResponse("ok")

    async def _answer(self, request: Request) -> Response:
        if "json" not in request.headers.get("content-type", ""):
            return PlainTextResponse(
                "Supplied content type is not allowed. Content-Type: application/json is required",
                status_code=415,
            )
        try:
            body = await request.body()
        except ClientDisconnect:
            return Response(status_code=400)  # nobody is there to read it: a client was killed
        if len(body) > MAX_BODY_BYTES:
            return PlainTextResponse("Request body is too large", status_code=413)
        return self._reply(body, self.faults.draw(body))

    def _reply(self, body: bytes, fate: Fate) -> Response:
        plan = self.faults.plan
        if fate.reply is Reply.TOO_MANY:
            self.refused += 1
            error = RpcError(429, "Too many requests for a specific RPC call")
            headers = {"Retry-After": str(plan.retry_after)}
            return _json(written(failed(None, error)), 429, headers)
        if fate.reply is Reply.UNAVAILABLE:
            return PlainTextResponse("Service Unavailable", status_code=503)
        if fate.reply is Reply.ERROR:
            error = RpcError(plan.error_code, plan.error_message)
            return _json(self.rpc.refuse_all(body, error))
        self.node.fate, self.node.lag = fate, plan.lag_slots
        self.node.first_slot, self.node.knows_v1 = plan.pruned_below, not plan.no_v1
        answer = self.rpc.answer(body)
        if fate.reply is Reply.LOSE_BY_503:
            return PlainTextResponse("Service Unavailable", status_code=503)
        if fate.reply is Reply.LOSE_BY_CLOSING:
            return BrokenResponse()
        return _json(answer or b"")


class BrokenResponse(Response):
    """Promises an answer and never gives it: the server then closes the connection."""

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        """Sends the head of an answer only."""
        headers = [(b"content-type", b"application/json"), (b"content-length", b"1024")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"{", "more_body": True})


def _broken(_request: Request, error: Exception) -> Response:
    logger.error("a request broke the server", exc_info=error)
    return _json(written(failed(None, RpcError(INTERNAL_ERROR, "Internal error"))))


def _json(body: bytes, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(body, status, headers, media_type="application/json")
