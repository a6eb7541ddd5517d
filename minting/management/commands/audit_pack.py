"""``manage.py audit_pack``: the audit pack of a batch, on stdout or into a file."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any
from uuid import UUID

from django.core.management.base import CommandError, CommandParser

from minting.engine.audit_pack import PackEnd
from minting.management.answers import AnsweringCommand, told
from minting.models import MintBatch
from minting.service.audit.audit_pack import write_pack


class Command(AnsweringCommand):
    help = (
        "Writes the audit pack of a batch: its readings, transactions and reasons, to be verified "
        "with docs/verify/verify_pack.py and without this system. Without --output stdout carries "
        "the pack and nothing else."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("batch", type=UUID, metavar="BATCH", help="id of the batch")
        parser.add_argument(
            "--output", type=Path, metavar="FILE", help="a file, there only once it is whole"
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        output: Path | None = options["output"]
        try:
            with told():
                end = self._write(options["batch"], output)
        except MintBatch.DoesNotExist as error:
            raise CommandError(f"There is no batch {options['batch']}") from error
        except OSError as error:
            raise CommandError(f"{output or 'stdout'}: {error.strerror}") from error
        self.say(
            f"{end.transactions} transactions, {end.paid} readings paid, {end.unpaid} not, "
            f"{end.excluded} left out; SHA-256 {end.digest.hex()}"
        )

    def _write(self, batch: UUID, output: Path | None) -> PackEnd:
        if output is None:
            return write_pack(batch, lambda line: self.stdout.write(line.decode(), ending=""))
        with tempfile.NamedTemporaryFile(dir=output.parent, delete=False) as file:
            half = Path(file.name)
            try:
                end = write_pack(batch, file.write)
                file.flush()
                os.fsync(file.fileno())
                half.replace(output)
            finally:
                half.unlink(missing_ok=True)
        return end
