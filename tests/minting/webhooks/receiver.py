"""A receiver as one would write it: a real HTTP server that verifies with the official library."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from standardwebhooks import Webhook


@dataclass
class Got:
    """One request."""

    headers: dict[str, str]
    body: bytes
    at: float

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def said(self) -> Any:
        return json.loads(self.body)


@dataclass
class Reply:
    """What is answered: after a while, perhaps nothing at all."""

    status: int = 204
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    after: float = 0.0
    drop: bool = False
    """Closes the connection instead."""


Answering = Callable[[Got], Reply]


class Receiver:
    """Keeps what it got; answers as the test says."""

    def __init__(self) -> None:
        self.got: list[Got] = []
        self.answer: Answering = lambda _got: Reply()
        self.at_once = 0
        self.most_at_once = 0
        self._lock = threading.Lock()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def port(self) -> int:
        return int(self.server.server_address[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook?key=k"

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    def verified(self, secret: str) -> list[Any]:
        """Everything it got, as the official library reads it; raises where one is not ours."""
        hook = Webhook(secret)
        return [hook.verify(got.body, got.headers) for got in self.got]

    def sequences(self) -> list[int]:
        return [got.said["sequence"] for got in self.got]

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                got = Got(headers, body, time.monotonic())
                with receiver._lock:
                    receiver.got.append(got)
                    receiver.at_once += 1
                    receiver.most_at_once = max(receiver.most_at_once, receiver.at_once)
                try:
                    self._reply(receiver.answer(got))
                finally:
                    with receiver._lock:
                        receiver.at_once -= 1

            def do_GET(self) -> None:
                receiver.got.append(Got({}, b"", time.monotonic()))
                self._reply(Reply(200))

            def _reply(self, reply: Reply) -> None:
                time.sleep(reply.after)
                if reply.drop:
                    self.close_connection = True
                    return
                try:
                    self.send_response(reply.status)
                    for name, value in reply.headers.items():
                        self.send_header(name, value)
                    self.send_header("Content-Length", str(len(reply.body)))
                    self.end_headers()
                    self.wfile.write(reply.body)
                except OSError:
                    self.close_connection = True

            def log_message(self, *_: object) -> None:
                pass

        return Handler
