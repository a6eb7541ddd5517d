"""Runs the formal model through spin: as it is, and with each well-known mistake.

``python model/check.py`` prints one line a run; see README.md. Needs ``spin`` and ``gcc``.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

MODEL = Path(__file__).with_name("exactly_once.pml")

MISTAKES = tuple(re.findall(r"^ \*   ([A-Z_]+) ", MODEL.read_text(), re.MULTILINE))
"""The macros that the model's head lists."""

EVERYTHING = ("-m1000000", "-w24")
"""Depth of the search, which none of its paths reaches, and the logarithm of the slots of the table
of states (760 MB with the states)."""

SHORT = ("-m150", "-w22")
"""For a mistake: a counterexample of so many moves at most, so that people can follow it."""

NEEDED = ("spin", "gcc")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one exhaustive search found."""

    errors: int
    states: int
    seconds: float
    violated: str
    """The assertion that does not hold; empty if all hold."""
    steps: int
    """Steps of the counterexample."""
    story: str
    """The counterexample, step by step; empty without one."""
    report: str
    """What the search printed."""


class SearchFailedError(RuntimeError):
    """spin or the compiler did not do its work: nothing is known of the model."""


def missing() -> list[str]:
    """Which of the programs that this needs are not installed."""
    return [name for name in NEEDED if shutil.which(name) is None]


def check(mistake: str | None = None) -> Outcome:
    """Searches all states of the model, or until the first error.

    Args:
        mistake: The macro that is switched on.

    Raises:
        SearchFailedError: The search did not come to its end.
    """
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        shutil.copy(MODEL, place)
        begun = time.monotonic()
        _run(place, "spin", *([f"-D{mistake}"] if mistake else []), "-a", MODEL.name)
        _run(place, "gcc", "-w", "-O2", "-DSAFETY", "-o", "pan", "pan.c")
        report = _run(place, "./pan", *(SHORT if mistake else EVERYTHING))
        found = re.search(r"errors: (\d+)", report)
        stored = re.search(r"(\d+) states, stored", report)
        cut_short = not mistake and "max search depth too small" in report
        if found is None or stored is None or cut_short:
            raise SearchFailedError(report)
        violated = re.search(r"assertion violated (.*?) \(at depth", report)
        story = _story(place, mistake) if int(found[1]) else ""
        return Outcome(
            errors=int(found[1]),
            states=int(stored[1]),
            seconds=time.monotonic() - begun,
            violated=violated[1] if violated else "",
            steps=sum(1 for line in story.splitlines() if re.match(r"\s*\d+:", line)),
            story=story,
            report=report,
        )


def _story(place: Path, mistake: str | None) -> str:
    macro = [f"-D{mistake}"] if mistake else []
    return _run(place, "spin", *macro, "-k", f"{MODEL.name}.trail", "-p", "-g", MODEL.name)


def _run(place: Path, *words: str) -> str:
    done = subprocess.run(words, cwd=place, capture_output=True, text=True, check=False)
    # Replaying a trail that ends in a violated assertion is no failure of spin's, and exits with 1.
    if done.returncode and "assertion violated" not in done.stdout:
        raise SearchFailedError(f"{' '.join(words)}\n{done.stdout}{done.stderr}")
    return done.stdout


def main() -> int:
    """Prints what each search found; 1 if one is not as it should be."""
    if absent := missing():
        sys.stderr.write(f"Not installed: {', '.join(absent)} (Debian: apt-get install spin gcc)\n")
        return 1
    wrong = 0
    for mistake in (None, *MISTAKES):
        outcome = check(mistake)
        wrong += bool(outcome.errors) is not bool(mistake)
        told = f"breaks {outcome.violated} in {outcome.steps} steps" if outcome.errors else "holds"
        sys.stdout.write(
            f"{mistake or 'as it is':22} {told:36} "
            f"{outcome.states:>10,} states {outcome.seconds:6.1f} s\n"
        )
        sys.stdout.flush()
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
