"""``manage.py recover``: one recovery pass over everything in doubt."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from django.core.management.base import CommandParser

from minting.management.answers import AnsweringCommand, told
from minting.service.chain.session import open_session
from minting.service.drive.recover import recover


class Command(AnsweringCommand):
    help = (
        "Looks up whatever is signed and not final: settles it, sends the same bytes again, or "
        "proves it dead and frees its readings. Exits 0 when the pass ran."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="answer as one JSON document")

    def handle(self, *_args: Any, **options: Any) -> None:
        with told(), open_session() as session:
            report = recover(session)
        if options["json"]:
            self.answer_json(asdict(report))
            return
        self.stdout.write(
            f"{report.looked_up} transactions looked up, {report.settled} settled, "
            f"{report.expired} proven dead, {report.open} not final yet"
        )
