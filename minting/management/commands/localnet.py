"""Serves the embedded chain as Solana JSON-RPC."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from gridtoken.embedded.options import Options, add_arguments


class Command(BaseCommand):
    help = "Serves the embedded chain on loopback until interrupted; a restart loses nothing."
    requires_system_checks: list[str] = []  # noqa: RUF012 - Django's own declaration

    def add_arguments(self, parser: CommandParser) -> None:
        add_arguments(parser)
        parser.add_argument(
            "--ledger",
            type=Path,
            default=settings.DATA_DIR / "ledger",
            help="where the chain is kept",
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        chosen = {name: options[name] for name in Options.__dataclass_fields__}
        try:
            server = import_module("gridtoken.embedded.server")
        except ModuleNotFoundError as missing:
            raise CommandError(
                f"{missing.name} is not installed: the local chain is for development"
                " (requirements/dev.txt). Set SOLANA_RPC_URL to a node."
            ) from None
        sys.exit(server.serve(Options(**chosen)))
