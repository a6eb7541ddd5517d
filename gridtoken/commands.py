"""Commands of ``manage.py``, one after the other in one process: most take less than its start.

``Commands`` gives them; ``python -m gridtoken.commands`` takes them, a line of JSON each.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from contextlib import redirect_stdout
from pathlib import Path
from typing import IO, cast

from django.core.management import execute_from_command_line

from gridtoken.processes import ProcessError, end_group, end_with_parent, last_line


class Commands:
    """A process that carries out what it is told."""

    def __init__(self, environment: Mapping[str, str], folder: Path, log: Path) -> None:
        """Starts it; its stderr goes to the log."""
        self.environment = environment
        self._log = log
        with log.open("ab") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "gridtoken.commands"],
                env=environment,
                cwd=folder,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                start_new_session=True,
                preexec_fn=end_with_parent,  # noqa: PLW1509 — we have no other thread here
            )

    def run(self, *words: str) -> str:
        """A command's stdout.

        Raises:
            ProcessError: It failed.
        """
        asked, answers = (
            cast("IO[str]", end) for end in (self._process.stdin, self._process.stdout)
        )
        try:
            asked.write(json.dumps(words) + "\n")
            asked.flush()
            answer = answers.readline()
        except BrokenPipeError:
            answer = ""  # it ended, and its log says why
        if not answer:
            self._process.wait()  # its log is whole then
        told = json.loads(answer) if answer else {"failed": True, "said": ""}
        if told["failed"]:
            command = " ".join(words[:2])
            raise ProcessError(f"{command} failed: {last_line(self._log)} (see {self._log})")
        return str(told["said"])

    def end(self) -> None:
        """Whatever it is at."""
        self._process.kill()
        self._process.communicate()
        end_group(self._process.pid)


def main() -> None:
    """Until nobody has anything to say any more."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what is printed past us is for the log
    for line in sys.stdin:
        said = io.StringIO()
        failed = False
        try:
            with redirect_stdout(said):
                execute_from_command_line(["manage.py", *json.loads(line)])
        except SystemExit as ended:
            failed = bool(ended.code)
            if isinstance(ended.code, str):
                sys.stderr.write(ended.code + "\n")
        sys.stderr.write(said.getvalue())
        sys.stderr.flush()
        answers.write(json.dumps({"failed": failed, "said": said.getvalue()}) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
