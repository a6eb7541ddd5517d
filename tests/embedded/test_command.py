"""`manage.py localnet`: a thin wrapper with a default place for the ledger."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from pytest_django import Settings

from gridtoken.embedded import server
from gridtoken.embedded.options import Options


def test_the_command_serves_what_was_asked(
    monkeypatch: pytest.MonkeyPatch, settings: Settings, tmp_path: Path
) -> None:
    asked: list[Options] = []

    def serve(options: Options) -> int:
        asked.append(options)
        return 0

    monkeypatch.setattr(server, "serve", serve)
    settings.DATA_DIR = tmp_path
    for arguments in (
        [],
        ["--port", "7", "--slot-ms", "9", "--ledger", "there", "--faults-seed", "3"],
    ):
        with pytest.raises(SystemExit) as ended:
            call_command("localnet", *arguments)
        assert ended.value.code == 0
    assert asked == [
        Options(ledger=tmp_path / "ledger", port=8899, slot_ms=400),
        Options(ledger=Path("there"), port=7, slot_ms=9, faults_seed=3),
    ]


def test_without_what_development_has_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "gridtoken.embedded.server")
    monkeypatch.setitem(sys.modules, "uvicorn", None)  # as if it were not installed
    with pytest.raises(CommandError, match="uvicorn is not installed: "):
        call_command("localnet")
