"""Which function answers which method."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gridtoken.embedded.rpc.node import Node
from gridtoken.embedded.rpc.params import Params

Method = Callable[[Node, Params], Any]
METHODS: dict[str, Method] = {}


def method(name: str) -> Callable[[Method], Method]:
    """Registers a function under the name of an RPC method."""

    def register(function: Method) -> Method:
        METHODS[name] = function
        return function

    return register
