"""Subscriptions, as clients use them to wait."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from solders.keypair import Keypair
from websockets.asyncio.client import ClientConnection, connect

from gridtoken.embedded.localnet import Localnet

from .chain import SOL, Chain


async def subscribed(socket: ClientConnection, method: str, *params: object) -> Any:
    request = {"jsonrpc": "2.0", "id": 9, "method": method, "params": params}
    await socket.send(json.dumps(request))
    while "id" not in (answer := json.loads(await socket.recv())):
        continue
    assert answer["id"] == 9
    return answer.get("result", answer.get("error"))


async def notified(socket: ClientConnection, number: int) -> Any:
    while True:
        message = json.loads(await socket.recv())
        if message.get("params", {}).get("subscription") == number:
            return message


def over(net: Localnet, story: Any) -> None:
    async def run() -> None:
        async with asyncio.timeout(10), connect(net.url.replace("http", "ws")) as socket:
            await story(socket)

    asyncio.run(run())


def test_a_signature_is_told_once_at_its_commitment(net: Localnet) -> None:
    async def story(socket: ClientConnection) -> None:
        chain = Chain(net.ledger)
        signature = chain.ask("requestAirdrop", str(Keypair().pubkey()), SOL)
        level = {"commitment": "confirmed"}
        number = await subscribed(socket, "signatureSubscribe", signature, level)
        message = await notified(socket, number)
        assert message["method"] == "signatureNotification"
        assert message["params"]["result"]["value"] == {"err": None}
        answer = await subscribed(socket, "signatureUnsubscribe", number)
        assert answer["code"] == -32602

    over(net, story)


def test_a_signature_that_landed_before_is_told_at_once(net: Localnet) -> None:
    signature = str(net.airdrop(Keypair().pubkey(), SOL))
    net.pause()

    async def story(socket: ClientConnection) -> None:
        level = {"commitment": "confirmed"}
        number = await subscribed(socket, "signatureSubscribe", signature, level)
        assert (await notified(socket, number))["params"]["result"]["value"] == {"err": None}

    over(net, story)
    net.resume()


def test_slots_and_roots_are_told(net: Localnet) -> None:
    async def story(socket: ClientConnection) -> None:
        slots = await subscribed(socket, "slotSubscribe")
        first = (await notified(socket, slots))["params"]["result"]
        second = (await notified(socket, slots))["params"]["result"]
        assert second["parent"] >= first["slot"] > first["root"]
        assert await subscribed(socket, "slotUnsubscribe", slots) is True
        roots = await subscribed(socket, "rootSubscribe")
        assert (await notified(socket, roots))["params"]["result"] >= first["root"]

    over(net, story)


def test_an_account_is_told_when_it_changes(net: Localnet) -> None:
    key = Keypair().pubkey()

    async def story(socket: ClientConnection) -> None:
        options = {"commitment": "processed", "encoding": "base64"}
        number = await subscribed(socket, "accountSubscribe", str(key), options)
        Chain(net.ledger).ask("requestAirdrop", str(key), SOL)
        value = (await notified(socket, number))["params"]["result"]["value"]
        assert value["lamports"] == SOL

    over(net, story)


@pytest.mark.parametrize(
    ("method", "params", "code"),
    [
        ("blockSubscribe", [], -32601),
        ("getSlot", [], -32601),
        ("signatureSubscribe", ["x"], -32602),
        ("slotUnsubscribe", [99], -32602),
    ],
)
def test_what_cannot_be_subscribed_is_an_error(
    net: Localnet, method: str, params: list[object], code: int
) -> None:
    async def story(socket: ClientConnection) -> None:
        assert (await subscribed(socket, method, *params))["code"] == code

    over(net, story)


def test_what_is_no_json_is_a_parse_error(net: Localnet) -> None:
    async def story(socket: ClientConnection) -> None:
        await socket.send("{")
        assert json.loads(await socket.recv())["error"]["code"] == -32700
        await socket.send("[]")
        assert json.loads(await socket.recv())["error"]["code"] == -32600

    over(net, story)
