"""Subscriptions: what clients use to wait for a transaction without asking again and again."""

from __future__ import annotations

import asyncio
import json
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from typing import Any

from solders.pubkey import Pubkey
from solders.signature import Signature
from starlette.websockets import WebSocket, WebSocketDisconnect

from gridtoken.embedded.chain.rules import Commitment
from gridtoken.embedded.rpc.account_json import AccountShape
from gridtoken.embedded.rpc.dispatch import failed, written
from gridtoken.embedded.rpc.error import (
    METHOD_NOT_FOUND,
    PARSE_ERROR,
    RpcError,
    invalid_params,
    invalid_request,
)
from gridtoken.embedded.rpc.node import Node, in_context
from gridtoken.embedded.rpc.params import Params

NOTHING = object()
"""A subscription has nothing to tell this time."""


class Subscription(ABC):
    """One thing that a client wants to hear of."""

    name = ""
    once = False

    @abstractmethod
    def news(self, node: Node) -> Any:
        """Returns what to tell after a block, or NOTHING."""


class SlotSubscription(Subscription):
    """Every new block."""

    name = "slotNotification"

    def news(self, node: Node) -> Any:
        """Tells of the newest block."""
        block = node.bank_at("processed").block
        root = node.bank_at("finalized").slot
        return {"slot": block.slot, "parent": block.parent_slot, "root": root}


class RootSubscription(Subscription):
    """Every block that becomes final."""

    name = "rootNotification"

    def news(self, node: Node) -> Any:
        """Tells of the newest final slot."""
        return node.bank_at("finalized").slot


class SignatureSubscription(Subscription):
    """The moment when a transaction reaches a commitment; told once."""

    name = "signatureNotification"
    once = True

    def __init__(self, signature: Signature, level: Commitment) -> None:
        self._signature = signature
        self._level = level

    def news(self, node: Node) -> Any:
        """Tells how the transaction ended, once it has."""
        bank = node.bank_at(self._level)
        status = node.ledger.status(self._signature)
        if status is None or status.height > bank.height:
            return NOTHING
        return in_context(bank, {"err": status.err})


class AccountSubscription(Subscription):
    """Every change of an account."""

    name = "accountNotification"

    def __init__(self, node: Node, key: Pubkey, level: Commitment, shape: AccountShape) -> None:
        self._key = key
        self._level = level
        self._shape = shape
        self._seen = node.bank_at(level).account(key)

    def news(self, node: Node) -> Any:
        """Tells what the account holds now, if that is new."""
        bank = node.bank_at(self._level)
        account = bank.account(self._key)
        if account is None or account == self._seen:
            return NOTHING
        self._seen = account
        return in_context(bank, self._shape.write(account, bank.account))


def _signature(_node: Node, params: Params) -> Subscription:
    return SignatureSubscription(params.signature(0), params.config(1).commitment())


def _account(node: Node, params: Params) -> Subscription:
    config = params.config(1)
    shape = AccountShape.asked(config)
    return AccountSubscription(node, params.pubkey(0), config.commitment(), shape)


KINDS: dict[str, Callable[[Node, Params], Subscription]] = {
    "signature": _signature,
    "slot": lambda _node, _params: SlotSubscription(),
    "root": lambda _node, _params: RootSubscription(),
    "account": _account,
}


class Connection:
    """One client's subscriptions."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._numbers = count(1)
        self._subscriptions: dict[int, Subscription] = {}
        self.outgoing: asyncio.Queue[bytes] = asyncio.Queue()

    def receive(self, text: str) -> None:
        """Answers a request."""
        try:
            request = json.loads(text)
        except ValueError:
            self.outgoing.put_nowait(written(failed(None, RpcError(PARSE_ERROR, "Parse error"))))
            return
        number = request.get("id") if isinstance(request, dict) else None
        try:
            result = self._obey(request)
        except RpcError as error:
            self.outgoing.put_nowait(written(failed(number, error)))
            return
        self.outgoing.put_nowait(written({"jsonrpc": "2.0", "result": result, "id": number}))
        self.block_made()

    def block_made(self) -> None:
        """Tells each subscription's news."""
        for number, subscription in list(self._subscriptions.items()):
            news = subscription.news(self._node)
            if news is NOTHING:
                continue
            params = {"result": news, "subscription": number}
            message = {"jsonrpc": "2.0", "method": subscription.name, "params": params}
            self.outgoing.put_nowait(written(message))
            if subscription.once:
                del self._subscriptions[number]

    def _obey(self, request: Any) -> Any:
        if not isinstance(request, dict) or not isinstance(request.get("method"), str):
            raise invalid_request()
        method, params = request["method"], Params(request.get("params"))
        if method.endswith("Unsubscribe"):
            if self._subscriptions.pop(params.integer(0), None) is None:
                raise invalid_params("Invalid subscription id.")
            return True
        subscribe = KINDS.get(method.removesuffix("Subscribe"))
        if subscribe is None or not method.endswith("Subscribe"):
            raise RpcError(METHOD_NOT_FOUND, "Method not found")
        number = next(self._numbers)
        self._subscriptions[number] = subscribe(self._node, params)
        return number


async def endpoint(node: Node, connections: set[Connection], socket: WebSocket) -> None:
    """Serves one client until it leaves; it is among the connections as long as it stays."""
    await socket.accept()
    connection = Connection(node)
    connections.add(connection)
    sending = asyncio.create_task(_send_all(connection, socket))
    try:
        while True:
            connection.receive(await socket.receive_text())
    except WebSocketDisconnect:
        return
    finally:
        connections.discard(connection)
        sending.cancel()
        with suppress(asyncio.CancelledError):
            await sending


async def _send_all(connection: Connection, socket: WebSocket) -> None:
    while True:
        await socket.send_text((await connection.outgoing.get()).decode())
