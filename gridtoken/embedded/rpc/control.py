"""The test's hand on the chain: POST /control, only where the server was started with it."""

from __future__ import annotations

import asyncio
import json
from base64 import b64decode
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from solders.account import Account
from solders.pubkey import Pubkey
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from gridtoken.embedded.chain.ledger import Ledger
from gridtoken.embedded.faults import FaultPlan, Faults
from gridtoken.embedded.rpc.dispatch import Rpc

Order = Callable[[Any], Awaitable[dict[str, Any]]]


class Steered(Protocol):
    """What a test has its hand on: the chain's clock, its faults and what was asked of it."""

    ledger: Ledger
    faults: Faults
    rpc: Rpc
    turn: asyncio.Lock
    paused: bool
    refused: int

    async def make_slot(self) -> None:
        """Makes the next slot."""


class Control:
    """Carries orders out between two slots, never within one."""

    def __init__(self, service: Steered) -> None:
        self._service = service
        self._orders: dict[str, Order] = {
            "faults": self._set_faults,
            "fork": self._fork,
            "advance": self._advance,
            "pause": self._pause,
            "set_account": self._set_account,
            "add_program": self._add_program,
            "expire_blockhashes": self._expire,
            "requests": self._requests,
        }

    async def endpoint(self, request: Request) -> Response:
        """Answers POST /control."""
        try:
            orders = json.loads(await request.body())
            return JSONResponse(await self.obey(orders))
        except (ValueError, TypeError, KeyError) as error:
            return JSONResponse({"error": f"{type(error).__name__}: {error}"}, status_code=400)

    async def obey(self, orders: dict[str, Any]) -> dict[str, Any]:
        """Carries orders out in the order given and says where the chain is then.

        Raises:
            ValueError: If an order is not known.
        """
        if unknown := set(orders) - set(self._orders):
            raise ValueError(f"no such order: {', '.join(sorted(unknown))}")
        answer: dict[str, Any] = {}
        for name, value in orders.items():
            answer |= await self._orders[name](value)
        tip = self._service.ledger.tip
        return answer | {"slot": tip.slot, "height": tip.height}

    async def _set_faults(self, plan: dict[str, Any]) -> dict[str, Any]:
        self._service.faults.plan = FaultPlan.parsed(plan)
        return {}

    async def _fork(self, depth: int) -> dict[str, Any]:
        async with self._service.turn:
            lost = self._service.ledger.fork(depth)
        return {"lost": [str(signature) for signature in lost]}

    async def _advance(self, slots: int) -> dict[str, Any]:
        for _ in range(slots):
            await self._service.make_slot()
        return {}

    async def _pause(self, paused: bool) -> dict[str, Any]:
        self._service.paused = paused
        return {}

    async def _set_account(self, wanted: dict[str, Any]) -> dict[str, Any]:
        key = Pubkey.from_string(wanted["pubkey"])
        account = None
        if wanted.get("lamports"):
            account = Account(
                wanted["lamports"],
                b64decode(wanted.get("data", "")),
                Pubkey.from_string(wanted.get("owner", str(Pubkey.default()))),
                wanted.get("executable", False),
            )
        async with self._service.turn:
            self._service.ledger.set_account(key, account)
        return {}

    async def _add_program(self, wanted: dict[str, Any]) -> dict[str, Any]:
        program = Pubkey.from_string(wanted["pubkey"])
        async with self._service.turn:
            self._service.ledger.add_program(program, b64decode(wanted["elf"]))
        return {}

    async def _expire(self, _value: Any) -> dict[str, Any]:
        async with self._service.turn:
            self._service.ledger.expire_blockhashes()
        return {}

    async def _requests(self, _value: Any) -> dict[str, Any]:
        """Counted since the start: what was executed by method, what was refused with a 429."""
        service = self._service
        return {"requests": dict(service.rpc.requests), "refused": service.refused}
