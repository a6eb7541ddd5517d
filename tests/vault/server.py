"""The stand-in behind a loopback port, with what goes wrong between us and a server."""

from __future__ import annotations

import json
import ssl
import threading
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from solders.keypair import Keypair

from tests.vault.core import Core


@dataclass
class Fault:
    """What happens to the next requests instead of, or besides, their answer."""

    on: str = "sign/"
    """Part of the path of the requests that it happens to."""
    times: int = 1_000_000
    delay: float = 0.0
    """Seconds before the answer."""
    drop: bool = False
    """The connection ends without an answer."""
    status: int = 0
    body: str = '{"errors": ["internal error"]}'
    content_type: str = "application/json"
    forge: bool = False
    """Signatures are another key's."""
    edit: dict[str, Any] | None = None
    """Put into ``data`` of the answer."""


class StandIn:
    """A server on a free port.

    Attributes:
        core: What it keeps.
        asked: Method and path of every request.
    """

    root = "root"

    def __init__(self, namespace: str = "", tls: ssl.SSLContext | None = None) -> None:
        self.core = Core(self.root, namespace)
        self.asked: list[str] = []
        self.faults: list[Fault] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._scheme = "https" if tls else "http"
        if tls:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.02,), daemon=True
        )
        self._thread.start()

    @property
    def url(self) -> str:
        return f"{self._scheme}://127.0.0.1:{self._server.server_address[1]}"

    def close(self) -> None:
        """Nobody listens at its port any more."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def fault_for(self, path: str) -> Fault:
        """What is to happen to a request."""
        for fault in self.faults:
            if fault.on in path and fault.times > 0:
                fault.times -= 1
                return fault
        return Fault()

    @contextmanager
    def failing(self, **fault: Any) -> Iterator[None]:
        """Something goes wrong for a while."""
        made = Fault(**fault)
        self.faults.append(made)
        yield
        self.faults.remove(made)

    def count(self, part: str) -> int:
        """Requests so far whose path has ``part``."""
        return sum(part in each for each in self.asked)


def _handler(standin: StandIn) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_any(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length) or b"{}")
            path = self.path.removeprefix("/v1/")
            standin.asked.append(f"{self.command} {path}")
            fault = standin.fault_for(path)
            time.sleep(fault.delay)
            if fault.drop:
                self.close_connection = True
                return
            if fault.status:
                self._send(fault.status, fault.body.encode(), fault.content_type)
                return
            status, answer = standin.core.answer(
                self.command, path, body, dict(self.headers.items())
            )
            self._send(status, b"" if answer is None else json.dumps(_bent(answer, fault)).encode())

        do_GET = do_POST = do_PUT = do_any  # noqa: N815 — http.server's names

        def _send(self, status: int, body: bytes, kind: str = "application/json") -> None:
            with suppress(ConnectionError):  # who asked may have given up
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    return Handler


def _bent(answer: dict[str, Any], fault: Fault) -> dict[str, Any]:
    if fault.forge:
        forged = b64encode(bytes(Keypair().sign_message(b"something else"))).decode()
        for item in answer["data"]["batch_results"]:
            item["signature"] = f"vault:v{item['key_version']}:{forged}"
    if fault.edit:
        answer["data"] |= fault.edit
    return answer
