"""JSON-RPC 2.0: from the text of a request to the text of its answer."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from gridtoken.embedded.rpc.error import METHOD_NOT_FOUND, PARSE_ERROR, RpcError, invalid_request
from gridtoken.embedded.rpc.methods import accounts, cluster, history, sending, tokens
from gridtoken.embedded.rpc.node import Node
from gridtoken.embedded.rpc.params import Params
from gridtoken.embedded.rpc.registry import METHODS

FAMILIES = (accounts, cluster, history, sending, tokens)
"""Importing them has registered their methods."""


class Rpc:
    """Answers requests from one node's point of view and counts them."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.requests: Counter[str] = Counter()

    def answer(self, body: bytes) -> bytes | None:
        """Answers a request or a batch; None if no answer is wanted."""
        try:
            request = json.loads(body)
        except ValueError:
            return written(failed(None, RpcError(PARSE_ERROR, "Parse error")))
        if not isinstance(request, list):
            one = self.answer_one(request)
            return None if one is None else written(one)
        if not request:
            return written(failed(None, invalid_request()))
        answers = [answer for one in request if (answer := self.answer_one(one)) is not None]
        return written(answers) if answers else None

    def refuse_all(self, body: bytes, error: RpcError) -> bytes:
        """Answers a request or a batch with the same error, executing nothing."""
        try:
            request = json.loads(body)
        except ValueError:
            return written(failed(None, error))
        if isinstance(request, list):
            return written([failed(_number(one), error) for one in request])
        return written(failed(_number(request), error))

    def answer_one(self, request: Any) -> dict[str, Any] | None:
        """Answers one request; a notification, which has no id, gets none."""
        if not isinstance(request, dict) or not isinstance(request.get("method"), str):
            return failed(None, invalid_request())
        number = request.get("id")
        try:
            if request.get("jsonrpc") != "2.0":
                raise invalid_request()
            result = self._call(request["method"], request.get("params"))
        except RpcError as error:
            return failed(number, error) if "id" in request else None
        return {"jsonrpc": "2.0", "result": result, "id": number} if "id" in request else None

    def _call(self, name: str, raw: Any) -> Any:
        self.requests[name] += 1
        function = METHODS.get(name)
        if function is None:
            raise RpcError(METHOD_NOT_FOUND, "Method not found")
        with self.node.ledger.lock:
            return function(self.node, Params(raw))


def _number(request: Any) -> Any:
    return request.get("id") if isinstance(request, dict) else None


def failed(number: Any, error: RpcError) -> dict[str, Any]:
    """Returns an answer that is an error."""
    return {"jsonrpc": "2.0", "error": error.json(), "id": number}


def written(answer: Any) -> bytes:
    """Returns the text of an answer."""
    return json.dumps(answer, separators=(",", ":")).encode()
