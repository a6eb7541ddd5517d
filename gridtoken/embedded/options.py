"""How the embedded chain is started; needs nothing that only development has installed."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field
from pathlib import Path

from solders.pubkey import Pubkey

DEFAULT_PORT = 8899


@dataclass(frozen=True, slots=True)
class Program:
    """A program to put on the chain, at an address of one's choice."""

    address: Pubkey
    elf: bytes

    @classmethod
    def parsed(cls, text: str) -> Program:
        """Reads ``ADDRESS=FILE``, and the file.

        Raises:
            argparse.ArgumentTypeError: In one line, as argparse shows it.
        """
        address, sign, file = text.partition("=")
        try:
            # Of a text without a sign the address is the whole.
            return cls(
                Pubkey.from_string(address if sign else ""), Path(file).expanduser().read_bytes()
            )
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text} is not ADDRESS=FILE") from None
        except OSError as error:
            raise argparse.ArgumentTypeError(f"{file}: {error.strerror}") from None


@dataclass(frozen=True, slots=True)
class Options:
    """How a server is started."""

    ledger: Path
    port: int = DEFAULT_PORT
    slot_ms: int = 400
    faults_seed: int = 0
    control: bool = False
    port_file: Path | None = None
    program: list[Program] = field(default_factory=list)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options that ``gridtoken.embedded.server`` and `manage.py localnet` share."""
    parser.add_argument("--port", type=int, default=DEFAULT_PORT, help="0 takes a free one")
    parser.add_argument("--slot-ms", type=int, default=400, help="length of a slot")
    parser.add_argument("--faults-seed", type=int, default=0, help="repeats a run of faults")
    parser.add_argument(
        "--program",
        type=Program.parsed,
        action="append",
        default=[],
        metavar="ADDRESS=FILE",
        help="puts a program (a .so file) on the chain; may be given several times",
    )
    parser.add_argument("--port-file", type=Path, help="where the port is written to")
    parser.add_argument(
        "--control", action="store_true", help="let POST /control break things, for tests"
    )
