"""The local chain inside a test's own process.

with Localnet(slot_ms=50) as net:
    net.airdrop(pubkey, 10**9)
    client = AsyncClient(net.url)
"""

from __future__ import annotations

import asyncio
import tempfile
import threading
import time
from base64 import b64encode
from collections import Counter
from collections.abc import Callable, Coroutine
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from solders.account import Account
from solders.pubkey import Pubkey
from solders.signature import Signature

from gridtoken.embedded.chain.ledger import Ledger
from gridtoken.embedded.chain.rules import Commitment, Rules
from gridtoken.embedded.faults import FaultPlan
from gridtoken.embedded.rpc.control import Control
from gridtoken.embedded.rpc.methods.sending import airdrop
from gridtoken.embedded.rpc.service import Service
from gridtoken.embedded.server import HOST, Server, listening_socket

T = TypeVar("T")
PATIENCE = 30.0
"""Seconds after which waiting for the chain is a failure."""


class Localnet:
    """A server in a thread of its own, with handles for what tests do to a chain."""

    def __init__(
        self,
        *,
        slot_ms: int = 50,
        ledger: Path | None = None,
        rules: Rules | None = None,
        port: int = 0,
    ) -> None:
        self._rules = rules or Rules(slot_ms=slot_ms)
        self._temporary = tempfile.TemporaryDirectory() if ledger is None else None
        self.directory = ledger or Path(self._temporary.name if self._temporary else "")
        self._wanted_port = port
        self._ready = threading.Event()
        self._server: Server | None = None
        self._failure: BaseException | None = None

    def __enter__(self) -> Localnet:
        """Opens the ledger and serves it."""
        self._socket = listening_socket(self._wanted_port)
        self.port: int = self._socket.getsockname()[1]
        self.url = f"http://{HOST}:{self.port}"
        self._thread = threading.Thread(target=self._run, name="localnet", daemon=True)
        self._thread.start()
        self._ready.wait(PATIENCE)
        if self._failure is not None:
            self.__exit__(None, None, None)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stops the server and waits until it is gone."""
        if self._server is not None:
            self._server.should_exit = True
        self._thread.join(PATIENCE)
        self._socket.close()
        if self._temporary is not None:
            self._temporary.cleanup()
        if self._failure is not None:
            raise self._failure

    # What tests look at

    @property
    def ledger(self) -> Ledger:
        """The chain itself."""
        return self._service.ledger

    @property
    def requests(self) -> Counter[str]:
        """How often each method was called."""
        return self._service.rpc.requests

    @property
    def faults(self) -> FaultPlan:
        """What goes wrong at present; assign a plan to change it."""
        return self._service.faults.plan

    @faults.setter
    def faults(self, plan: FaultPlan) -> None:
        self._service.faults.plan = plan

    @property
    def slot(self) -> int:
        """The newest slot."""
        return self.ledger.slot

    # What tests do

    def airdrop(
        self, pubkey: Pubkey, lamports: int, commitment: Commitment = "confirmed"
    ) -> Signature:
        """Gives lamports, whatever faults are set, and waits until they are there."""
        decoded = airdrop(self._service.node, self.ledger.bank(), pubkey, lamports)
        self.ledger.send(decoded)
        self.wait_until(lambda: self._has(decoded.signature, commitment))
        return decoded.signature

    def wait_slots(self, count: int) -> None:
        """Waits until so many more slots have passed; makes them if the clock stands."""
        goal = self.slot + count
        self.wait_until(lambda: self.slot >= goal)

    def wait_until(self, condition: Callable[[], bool]) -> None:
        """Waits for a condition; makes slots meanwhile if the clock stands.

        Raises:
            TimeoutError: After half a minute.
        """
        deadline = time.monotonic() + PATIENCE
        while not condition():
            if time.monotonic() > deadline:
                tip = self.ledger.tip
                raise TimeoutError(f"still not so at slot {tip.slot}, height {tip.height}")
            if self._service.paused:
                self._in_loop(self._service.make_slot())
            else:
                time.sleep(0.002)

    def wait_stopped(self) -> None:
        """Waits until the server stops of itself, which it does only when it is broken."""
        self._thread.join(PATIENCE)

    def pause(self) -> None:
        """Stops the clock."""
        self.control({"pause": True})

    def resume(self) -> None:
        """Lets the clock go on."""
        self.control({"pause": False})

    def advance(self, slots: int = 1) -> None:
        """Makes slots at once."""
        self.control({"advance": slots})

    def fork(self, depth: int) -> list[str]:
        """Loses the newest blocks to another fork; returns the signatures that are gone."""
        lost: list[str] = self.control({"fork": depth})["lost"]
        return lost

    def expire_blockhashes(self) -> None:
        """Lets every present blockhash grow too old."""
        self.control({"expire_blockhashes": True})

    def set_account(self, pubkey: Pubkey, account: Account | None) -> None:
        """Overwrites an account at once and at every commitment; None removes it."""
        self._in_loop(self._set_account(pubkey, account))

    def add_program(self, program: Pubkey, elf: bytes) -> None:
        """Puts a program on the chain."""
        self.control({"add_program": {"pubkey": str(program), "elf": b64encode(elf).decode()}})

    def control(self, orders: dict[str, Any]) -> dict[str, Any]:
        """Gives the orders that POST /control takes."""
        return self._in_loop(Control(self._service).obey(orders))

    def _has(self, signature: Signature, commitment: Commitment) -> bool:
        status = self.ledger.status(signature)
        return status is not None and status.height <= self.ledger.bank(commitment).height

    async def _set_account(self, pubkey: Pubkey, account: Account | None) -> None:
        async with self._service.turn:
            self.ledger.set_account(pubkey, account)

    def _in_loop(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(PATIENCE)

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:  # noqa: BLE001 - handed to the thread that started us
            self._failure = error
        finally:
            self._ready.set()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._service = Service(Ledger(self.directory, self._rules))
        self._server = Server(self._service, on_listening=self._ready.set)
        await self._server.serve(sockets=[self._socket])
        self._service.check_clock()
