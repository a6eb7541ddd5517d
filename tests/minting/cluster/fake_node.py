"""A node that does as it is told: answers, lies, drops, stalls. For faults only.

Honest behaviour is tested against the embedded chain.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import Self

GENESIS = "GenesisHashOfTheTestCluster1111111111111111"


@dataclass(frozen=True)
class Refusal:
    """A JSON-RPC error."""

    code: int
    message: str = "no"


@dataclass(frozen=True)
class Http:
    """A bare HTTP answer."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: str = ""


@dataclass(frozen=True)
class Drop:
    """The connection closes without an answer."""


@dataclass(frozen=True)
class Stall:
    """Silence."""

    seconds: float = 30.0


@dataclass(frozen=True)
class Heard:
    """A request that arrived."""

    connection: int
    method: str
    params: list


def value(inner: object, slot: int = 100) -> dict:
    """An answer with a context."""
    return {"context": {"slot": slot}, "value": inner}


def status(slot: int = 90, err: object = None, level: str = "confirmed") -> dict:
    """One entry of ``getSignatureStatuses``."""
    return {"slot": slot, "confirmations": 1, "err": err, "confirmationStatus": level}


class FakeNode:
    """A loopback HTTP server inside the running event loop.

    ``answers`` maps a method to an answer, to a function of the params, or to a list that is
    used up one by one (its last item stays).
    """

    def __init__(self, **answers: object) -> None:
        self.answers: dict[str, object] = {"getGenesisHash": GENESIS, **answers}
        self.heard: list[Heard] = []
        self.most_at_once = 0
        self._at_once = 0
        self._connections = 0
        self._tasks: set[asyncio.Task] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._on_connect, "127.0.0.1", 0)
        host, port = self._server.sockets[0].getsockname()
        self.url = f"http://{host}:{port}/?api-key=SECRET"
        self.name = f"{host}:{port}"
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    @property
    def methods(self) -> list[str]:
        return [request.method for request in self.heard]

    def params(self, method: str) -> list[list]:
        return [request.params for request in self.heard if request.method == method]

    async def _on_connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self._serve(self._connections, reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _serve(
        self, connection: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            length = int(head.split("content-length:")[1].split("\r\n")[0])
            request = json.loads(await reader.readexactly(length))
            params = request.get("params", [])
            self.heard.append(Heard(connection, request["method"], params))
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
            try:
                await asyncio.sleep(0)
                answer = self._answer(request["method"], params)
                if isinstance(answer, Stall):
                    await asyncio.sleep(answer.seconds)
            finally:
                self._at_once -= 1
            if isinstance(answer, Drop | Stall):
                return
            writer.write(_wire(answer, request["id"]))
            await writer.drain()

    def _answer(self, method: str, params: list) -> object:
        answer = self.answers.get(method, Refusal(-32601, "Method not found"))
        if isinstance(answer, list) and method not in LISTS:
            answer = answer.pop(0) if len(answer) > 1 else answer[0]
        return answer(*params) if callable(answer) else answer


LISTS = {"getRecentPrioritizationFees", "getSignaturesForAddress"}
"""Methods whose answer is itself a list; give these a function to answer in turns."""


def _wire(answer: object, request_id: object) -> bytes:
    if isinstance(answer, Http):
        http = answer
    else:
        reply: dict[str, object] = {"jsonrpc": "2.0", "id": request_id}
        if isinstance(answer, Refusal):
            reply["error"] = {"code": answer.code, "message": answer.message}
        else:
            reply["result"] = answer
        http = Http(200, {"content-type": "application/json"}, json.dumps(reply))
    body = http.body.encode()
    lines = [f"HTTP/1.1 {http.status} X", f"content-length: {len(body)}"]
    lines += [f"{name}: {text}" for name, text in http.headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body
