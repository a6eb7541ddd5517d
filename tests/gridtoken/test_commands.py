"""Several commands in one process: each has its own answer, and a failure its last words."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from gridtoken.commands import Commands
from gridtoken.env import BASE_DIR
from gridtoken.processes import ProcessError
from tests.gridtoken.conftest import PRODUCTION
from tests.gridtoken.proc import is_alive


@pytest.fixture
def commands(tmp_path: Path) -> Iterator[Commands]:
    environment = {**os.environ, **PRODUCTION, "DATA_DIR": str(tmp_path)}
    started = Commands(environment, BASE_DIR, tmp_path / "log")
    yield started
    started.end()


def test_one_process_answers_one_command_after_the_other(commands: Commands, tmp_path: Path):
    shell = ("shell", "--no-imports", "-c")
    assert commands.run(*shell, "print('one'); print('two')") == "one\ntwo\n"
    with pytest.raises(ProcessError, match=r"migrate nowhere failed: .*nowhere"):
        commands.run("migrate", "nowhere")
    # Past the answer goes what is printed past Python, and a log.
    stray = "import os; os.write(1, b'stray'); print(os.getpid())"
    pid = int(commands.run(*shell, stray))
    log = (tmp_path / "log").read_text()
    assert "stray" in log
    assert "two" in log

    with pytest.raises(ProcessError, match="shell --no-imports failed: stray"):
        commands.run(*shell, "import os; os._exit(3)")
    assert not is_alive(pid)
