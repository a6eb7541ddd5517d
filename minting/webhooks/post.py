"""One request to a receiver, bounded in every way: time, size, and where it may go.

A name is resolved once for each connection, all its addresses are judged, and the socket is opened
to one of those. TLS and ``Host`` keep the name. Redirects, cookies, proxies of the environment and
compressed answers do not exist here: the connection pool below knows none of them.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from types import TracebackType
from typing import Any, Self

import httpcore2
import httpx2

from minting.engine.events import Outcome
from minting.webhooks.addresses import AddressRefused, UrlRefused, is_public, judge_url
from minting.webhooks.backoff import asked_for

# It would log URLs, and receivers put keys into those.
logging.getLogger("httpcore2").setLevel(logging.WARNING)

CONNECT_TIMEOUT, READ_TIMEOUT, TOTAL_TIMEOUT = 4.0, 8.0, 10.0
"""Seconds; the last for all of it, the name's resolution and a dribbling answer included."""

ANSWER_BYTES = 1_024
"""Of an answer's body that are read and kept."""

ADDRESSES_TRIED = 4
"""Of a name that has more."""

AGENT = "GridToken-Webhooks/1"

Resolver = Callable[[str, int], Awaitable[Sequence[str]]]


@dataclass(frozen=True, slots=True)
class Letter:
    """A request that is ready to go."""

    url: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of it."""

    outcome: Outcome
    took: timedelta
    status: int | None = None
    text: str = ""
    """How the body began."""
    error: str = ""
    retry_after: timedelta | None = None
    address: str = ""


class Post:
    """The way out: one event loop's connections. An async context manager."""

    def __init__(
        self,
        *,
        allow_private: bool,
        at_once: int,
        resolver: Resolver | None = None,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        self._allow_private = allow_private
        # Of its own: whoever waits for a dead name server keeps nobody else waiting.
        self._threads = ThreadPoolExecutor(at_once, thread_name_prefix="resolver")
        self._pool = httpcore2.AsyncConnectionPool(
            ssl_context=ssl_context or _trusted(),
            max_connections=at_once,
            max_keepalive_connections=at_once,
            keepalive_expiry=5.0,
            network_backend=_JudgedNetwork(resolver or self._resolve, allow_private=allow_private),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._pool.aclose()
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def send(self, letter: Letter) -> Answer:
        """Sends it and answers what became of it; failures are answers, none is raised."""
        begun = time.monotonic()
        try:
            url = judge_url(letter.url, allow_private=self._allow_private)
            async with asyncio.timeout(TOTAL_TIMEOUT):
                return await self._exchange(url, letter, begun)
        except (UrlRefused, AddressRefused) as refused:
            return Answer(Outcome.FORBIDDEN, _since(begun), error=_cut(str(refused)))
        except (TimeoutError, httpcore2.TimeoutException) as late:
            what = _LATE.get(type(late), f"no whole answer within {TOTAL_TIMEOUT:g} s")
            return Answer(Outcome.TIMED_OUT, _since(begun), error=what)
        except (httpcore2.NetworkError, httpcore2.ProtocolError, OSError, UnicodeError) as broken:
            # UnicodeError: a name that no resolver can be asked for.
            return Answer(Outcome.UNREACHABLE, _since(begun), error=_cut(_why(broken)))

    async def _exchange(self, url: httpx2.URL, letter: Letter, begun: float) -> Answer:
        target = httpcore2.URL(
            scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path
        )
        timeouts = {
            "connect": CONNECT_TIMEOUT,
            "read": READ_TIMEOUT,
            "write": READ_TIMEOUT,
            "pool": TOTAL_TIMEOUT,
        }
        headers = {
            "Host": url.netloc.decode("ascii"),
            "User-Agent": AGENT,
            "Accept-Encoding": "identity",
            "Content-Type": "application/json",
            "Content-Length": str(len(letter.body)),
            **letter.headers,
        }
        async with self._pool.stream(
            "POST",
            target,
            headers=list(headers.items()),
            content=letter.body,
            extensions={"timeout": timeouts},
        ) as response:
            text = await _beginning(response)
            named = {name.lower(): value for name, value in response.headers}
            return Answer(
                _outcome(response.status),
                _since(begun),
                status=response.status,
                text=text,
                error="" if 200 <= response.status < 300 else _refusal(response.status),
                retry_after=_retry_after(response.status, named),
                address=_peer(response),
            )

    async def _resolve(self, host: str, port: int) -> Sequence[str]:
        loop = asyncio.get_running_loop()
        found = await loop.run_in_executor(self._threads, _look_up, host, port)
        return list(dict.fromkeys(found))


class _JudgedNetwork(httpcore2.AsyncNetworkBackend):
    """Opens sockets to judged addresses only."""

    def __init__(self, resolver: Resolver, *, allow_private: bool) -> None:
        self._resolve = resolver
        self._allow_private = allow_private
        self._network = httpcore2.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 — the library's signature
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """To the first address that answers, if every one of the name's may be sent to."""
        addresses = await self._resolve(host, port)
        if not self._allow_private:
            for address in addresses:
                if not is_public(address):
                    # Which one is for the log of deliveries, not for whoever entered the name.
                    raise AddressRefused(f"{host} leads to {address}, which may not be sent to")
        trouble: Exception = httpcore2.ConnectError(f"{host} has no address")
        for address in addresses[:ADDRESSES_TRIED]:
            try:
                return await self._network.connect_tcp(
                    address, port, timeout, local_address, socket_options
                )
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                trouble = error
        raise trouble

    async def connect_unix_socket(self, *_: Any, **__: Any) -> httpcore2.AsyncNetworkStream:
        """Never."""
        raise AddressRefused("a socket of this machine may not be sent to")

    async def sleep(self, seconds: float) -> None:
        """As the library asks."""
        await self._network.sleep(seconds)


@cache
def _trusted() -> ssl.SSLContext:
    """Once a process: reading all certificates takes longer than most requests."""
    return httpcore2.default_ssl_context()


def _look_up(host: str, port: int) -> list[str]:
    """In a thread: the system's resolver blocks."""
    rows = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(row[4][0]) for row in rows]


async def _beginning(response: httpcore2.Response) -> str:
    """Of the body, as text that PostgreSQL keeps."""
    read = bytearray()
    async for part in response.aiter_stream():
        read += part
        if len(read) >= ANSWER_BYTES:
            break
    text = bytes(read[:ANSWER_BYTES]).decode("utf-8", "replace")
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}")


def _outcome(status: int) -> Outcome:
    if 200 <= status < 300:
        return Outcome.ACCEPTED
    return Outcome.GONE if status == 410 else Outcome.REFUSED


def _refusal(status: int) -> str:
    if 300 <= status < 400:
        return f"answered {status}: redirects are not followed"
    return f"answered {status}"


def _retry_after(status: int, headers: Mapping[bytes, bytes]) -> timedelta | None:
    """Only where it means "come back later"."""
    if status not in (429, 503):
        return None
    said = headers.get(b"retry-after", b"").decode("ascii", "replace")
    return asked_for(said, datetime.now(UTC))


def _peer(response: httpcore2.Response) -> str:
    stream = response.extensions.get("network_stream")
    peer = stream.get_extra_info("server_addr") if stream is not None else None
    return str(peer[0]) if peer else ""


_LATE: Mapping[type[BaseException], str] = {
    httpcore2.ConnectTimeout: f"no connection within {CONNECT_TIMEOUT:g} s",
    httpcore2.ReadTimeout: f"no answer within {READ_TIMEOUT:g} s",
}


def _why(error: BaseException) -> str:
    """The innermost words: the library's own are often empty."""
    while error.__cause__ is not None and not isinstance(error, OSError):
        error = error.__cause__
    return str(error) or type(error).__name__


def _cut(text: str) -> str:
    return text[:200]


def _since(begun: float) -> timedelta:
    return timedelta(seconds=time.monotonic() - begun)
