"""A node that answers as one did when a golden file was written."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

Answer = Callable[[str, list[Any]], Any]


@contextmanager
def node(answer: Answer) -> Iterator[str]:
    """Serves answers (of method and parameters) as JSON-RPC; gives the node's URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            result = answer(asked["method"], asked.get("params", []))
            body = json.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": result}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def key(method: str, params: list[Any]) -> str:
    """What an answer is kept by: what is asked, about whom, and from where on."""
    before = next((each["before"] for each in params[1:] if "before" in each), "")
    return " ".join(filter(None, (method, *map(str, params[:1]), before)))


def recorded(answers: Mapping[str, Any]) -> Answer:
    """Answers from what was kept."""
    return lambda method, params: answers[key(method, params)]
