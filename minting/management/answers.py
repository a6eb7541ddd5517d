"""What commands have in common: answers on stdout, everything else on stderr."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from minting.engine.errors import BlockchainError, InvalidBatchData


class AnsweringCommand(BaseCommand):
    """A command whose stdout carries the answer and nothing else."""

    def say(self, text: str) -> None:
        """Progress and warnings, for people."""
        self.stderr.write(text, self.style.HTTP_INFO)

    def answer_json(self, document: Any) -> None:
        """The one document of ``--json``."""
        self.stdout.write(json.dumps(document, indent=2, ensure_ascii=False))


@contextmanager
def told() -> Iterator[None]:
    """Turns what minting raises on purpose into one sentence and a non-zero exit.

    Raises:
        CommandError: with the sentence, and the readings that it is about.
    """
    try:
        yield
    except InvalidBatchData as error:
        lines = [f"  {each.reading_id}: {each.detail} ({each.code})" for each in error.items]
        raise CommandError("\n".join([str(error), *lines])) from error
    except BlockchainError as error:
        raise CommandError(f"{error} ({error.code})") from error
