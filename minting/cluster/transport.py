"""One URL over solana-py's ``AsyncClient``: bounded, measured, and every failure given its name.

solana-py's typed methods would refuse answers that we must be able to read (v1 transactions,
errors younger than the library), so its raw JSON-RPC door is used and ``parsing`` reads the JSON.
"""

from __future__ import annotations

import asyncio
import logging
import math
import re
import time
from collections import Counter
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import httpx2
import structlog
from solana.exceptions import SolanaRpcException
from solana.rpc.async_api import AsyncClient
from solana.rpc.jsonrpc import JsonRpcErrorObject, JsonRpcRequest, JsonRpcResponseEnvelope

from minting.cluster import timing
from minting.cluster.throttle import Throttle
from minting.engine.errors import NodeUnreachable, RateLimited, RpcRefused, SolanaError

# The library logs every request's whole URL at INFO, and providers put API keys into URLs.
logging.getLogger("httpx2").setLevel(logging.WARNING)

log = structlog.get_logger(__name__)

DEFAULT_TIMEOUT = 15.0
"""Seconds for one request, connecting included."""
DEFAULT_CONCURRENCY = 16
"""Requests to one node at the same time."""
DEFAULT_REST = 1.0
"""Seconds to rest after a 429 that does not say for how long."""
SHORTEST_REST = 0.2
"""Seconds to rest even if a 429 says 0, or waiting would be hammering."""
_NUMBER = re.compile(r"\d{1,9}(\.\d*)?", re.ASCII)
RATE_LIMIT_CODES = frozenset({429, -32429})
"""JSON-RPC codes with which providers say 429 under HTTP 200."""


class _BrokenConnection(NodeUnreachable):
    """The connection broke under a request; a kept-alive one may simply have been too old."""


class Transport:
    """JSON-RPC calls to one URL. An async context manager; not for use after it closed.

    Attributes:
        name: Host and port: what logs, errors and evidence may show of a URL.
        calls: Requests sent, by method, repeats included.
        failures: Requests that got no usable answer, by method.
    """

    def __init__(
        self,
        url: str,
        *,
        timeout: float = DEFAULT_TIMEOUT,
        concurrency: int = DEFAULT_CONCURRENCY,
        throttle: Throttle | None = None,
    ) -> None:
        self.url = url
        self.name = node_name(url)
        self.calls: Counter[str] = Counter()
        self.failures: Counter[str] = Counter()
        self._timeout = timeout
        self._slots = asyncio.Semaphore(concurrency)
        self._throttle = throttle
        self._rest_until = 0.0
        self._silent_at = 0.0
        # Repeats are ours (below), so that they are counted and throttled too.
        self._client = AsyncClient(
            url,
            timeout=timeout,
            max_connections=concurrency,
            max_keepalive_connections=concurrency,
            keepalive_expiry=30,
            max_transport_retries=0,
        )

    async def __aenter__(self) -> Self:
        await self._client.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._client.close()

    async def call(self, method: str, *params: object, at_most: float = math.inf) -> object:
        """The ``result`` of one JSON-RPC call, unparsed; may be ``None``.

        Repeats once when the connection broke under it: every call here may safely arrive twice
        (a send carries the same bytes, hence the same signature).

        Args:
            method: As in the RPC's documentation.
            params: Likewise.
            at_most: Seconds for the request, if that is less than the node's timeout. Waiting for
                a free connection and for the throttle's turn does not count.

        Raises:
            RateLimited: The node said 429, or still rests after one; then nothing was sent.
            RpcRefused: The node answered with a JSON-RPC error.
            NodeUnreachable: No answer, or none that is JSON-RPC.
        """
        seconds = min(at_most, self._timeout)
        queued = time.monotonic()
        async with self._slots:
            if self._silent_at > queued:
                # Who queued behind a request that got no answer shares its failure, or a silent
                # node would hold up a wave of sends for a timeout after every few of them.
                raise NodeUnreachable(f"{self.name}: fell silent before {method}")
            with suppress(_BrokenConnection):
                return await self._attempt(method, params, seconds)
            try:
                return await self._attempt(method, params, seconds)
            except _BrokenConnection as broken:
                raise NodeUnreachable(str(broken)) from None

    async def _attempt(self, method: str, params: tuple[object, ...], seconds: float) -> object:
        resting = self._rest_until - time.monotonic()
        if resting > 0:
            raise RateLimited(resting)
        if self._throttle is not None:
            await self._throttle.wait_turn()
        self.calls[method] += 1
        started = time.monotonic()
        outcome = "abandoned"
        try:
            answer = await self._request(method, params, seconds)
            outcome = "answered"
        except SolanaError as failure:
            self.failures[method] += 1
            timing.failed(self.name, method, failure)
            outcome = str(failure)
            if isinstance(failure, RateLimited):
                self._rest_until = time.monotonic() + failure.retry_after
            raise
        else:
            return answer
        finally:
            elapsed = time.monotonic() - started
            timing.took(self.name, method, elapsed)
            ms = round(elapsed * 1000, 1)
            log.debug("rpc_call", node=self.name, method=method, ms=ms, outcome=outcome)

    async def _request(self, method: str, params: tuple[object, ...], seconds: float) -> object:
        request = JsonRpcRequest(method=method, params=list(params))
        try:
            # httpx counts its timeout anew for every read; a dribbling node would never time out.
            async with asyncio.timeout(seconds):
                answer: object = await self._client.send_rpc_request(
                    request, object, error_parser=_refusal
                )
        except TimeoutError:
            self._silent_at = time.monotonic()
            raise NodeUnreachable(
                f"{self.name}: no answer to {method} within {seconds:g} s"
            ) from None
        except SolanaRpcException as wrapped:
            # Not chained: the library's own messages quote the URL, key and all.
            raise self._failure(method, wrapped.__cause__) from None
        except ValueError:
            raise NodeUnreachable(f"{self.name}: answer to {method} is not JSON-RPC") from None
        return answer

    def _failure(self, method: str, cause: BaseException | None) -> SolanaError:
        if isinstance(cause, httpx2.HTTPStatusError):
            return self._http_failure(method, cause.response)
        if isinstance(cause, httpx2.TimeoutException):
            self._silent_at = time.monotonic()
            return NodeUnreachable(f"{self.name}: no answer to {method} in time")
        if isinstance(cause, httpx2.ReadError | httpx2.WriteError | httpx2.RemoteProtocolError):
            return _BrokenConnection(f"{self.name}: the connection broke during {method}")
        return NodeUnreachable(f"{self.name}: {type(cause).__name__} at {method}")

    def _http_failure(self, method: str, response: httpx2.Response) -> SolanaError:
        retry_after = response.headers.get("retry-after")
        if response.status_code == 429 or (response.status_code == 503 and retry_after):
            return RateLimited(_seconds(retry_after))
        try:
            envelope = JsonRpcResponseEnvelope.model_validate_json(response.text)
        except ValueError:
            envelope = None
        if envelope is not None and envelope.error is not None:
            return _refusal(envelope.error, request_id=envelope.id)
        return NodeUnreachable(f"{self.name}: HTTP {response.status_code} to {method}")


def node_name(url: str) -> str:
    """Host and port of a URL, without user, path and query, where providers put their keys.

    Raises:
        ValueError: It is not an http(s) URL. The message does not quote it.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host = None
    if not host or parts.scheme not in {"http", "https"}:
        raise ValueError("A node's URL looks like https://host[:port][/path]")
    return host if port is None else f"{host}:{port}"


def _refusal(
    error: JsonRpcErrorObject, *, request_id: str | int, method: str | None = None
) -> SolanaError:
    """solana-py's ``JsonRpcErrorParser``."""
    del request_id, method
    if error.code in RATE_LIMIT_CODES:
        return RateLimited(DEFAULT_REST)
    return RpcRefused(error.code, error.message)


def _seconds(retry_after: str | None) -> float:
    """Seconds that a ``Retry-After`` header asks for: a number or an HTTP date (RFC 9110)."""
    if retry_after is None:
        return DEFAULT_REST
    if _NUMBER.fullmatch(retry_after):
        return max(float(retry_after), SHORTEST_REST)
    try:
        until = parsedate_to_datetime(retry_after)
    except ValueError:
        return DEFAULT_REST
    if until.tzinfo is None:
        until = until.replace(tzinfo=UTC)
    return max((until - datetime.now(UTC)).total_seconds(), SHORTEST_REST)
