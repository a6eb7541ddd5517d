"""Serves a ledger as Solana JSON-RPC on loopback.

python -m gridtoken.embedded.server --port 0 --slot-ms 50 --ledger DIR --port-file FILE
"""

from __future__ import annotations

import argparse
import socket
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType

import uvicorn

from gridtoken.embedded.chain.ledger import Ledger
from gridtoken.embedded.chain.rules import Rules
from gridtoken.embedded.chain.store import LedgerInUse
from gridtoken.embedded.faults import FaultPlan, Faults
from gridtoken.embedded.options import Options, add_arguments
from gridtoken.embedded.rpc.service import Service

HOST = "127.0.0.1"


class Server(uvicorn.Server):
    """A uvicorn that tells where it listens once it does."""

    def __init__(self, service: Service, on_listening: Callable[[], None]) -> None:
        super().__init__(
            uvicorn.Config(
                service.app,
                log_level="critical",
                access_log=False,
                timeout_graceful_shutdown=2,
            )
        )
        self._on_listening = on_listening
        service.on_failure = self._give_up

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stops on a signal, at once on the second; being told to stop is no failure."""
        del sig, frame
        self.force_exit = self.should_exit
        self.should_exit = True

    def _give_up(self) -> None:
        self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Starts listening, then says so."""
        await super().startup(sockets)
        self._on_listening()


def listening_socket(port: int) -> socket.socket:
    """Returns a socket on loopback; port 0 takes a free one.

    Raises:
        OSError: If the port is taken.
    """
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HOST, port))
    except OSError:
        listener.close()
        raise
    return listener


def websocket_socket(port: int) -> socket.socket | None:
    """Returns a socket on the next port, where web3.js and the CLI look for subscriptions.

    They are served on the RPC port as well, so a taken port is no reason not to start.
    """
    try:
        return listening_socket(port + 1)
    except (OSError, OverflowError):
        return None


def serve(options: Options) -> int:
    """Serves until SIGINT or SIGTERM; returns the exit code."""
    try:
        listener = listening_socket(options.port)
    except OSError as error:
        return _stop(f"localnet: port {options.port} is not free ({error.strerror})")
    with listener:
        try:
            ledger = Ledger(options.ledger, Rules(slot_ms=options.slot_ms))
        except LedgerInUse as error:
            return _stop(f"localnet: {error}")
        for each in options.program:
            ledger.add_program(each.address, each.elf)
        faults = Faults(FaultPlan(seed=options.faults_seed))
        service = Service(ledger, faults=faults, control=options.control)
        port = listener.getsockname()[1]
        sockets = [listener]
        if second := websocket_socket(port):
            sockets.append(second)
        # uvicorn closes its sockets when it stops.
        Server(service, lambda: _announce(options, ledger, port)).run(sockets=sockets)
        service.check_clock()
    return 0


def _announce(options: Options, ledger: Ledger, port: int) -> None:
    if options.port_file is not None:
        # Renamed into place: whoever waits for the file never reads half of it.
        draft = options.port_file.with_suffix(".new")
        draft.write_text(f"{port}\n")
        draft.replace(options.port_file)
    sys.stdout.write(
        f"localnet: http://{HOST}:{port}, slot {ledger.tip.slot} of {ledger.genesis_hash},"
        f" kept in {options.ledger}\n"
    )
    sys.stdout.flush()


def _stop(sentence: str) -> int:
    sys.stderr.write(sentence + "\n")
    return 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the server from the command line."""
    parser = argparse.ArgumentParser(prog="gridtoken.embedded.server", description=__doc__)
    parser.add_argument("--ledger", type=Path, required=True, help="where the chain is kept")
    add_arguments(parser)
    chosen = parser.parse_args(arguments)
    return serve(Options(**vars(chosen)))


if __name__ == "__main__":
    sys.exit(main())
