"""The table of points is whole, means what is there, and is what docs/ shows."""

from __future__ import annotations

from inspect import isfunction
from pathlib import Path

from minting import journal
from tests.crash.points import ELSEWHERE, POINTS, table
from tests.crash.worker import resolve

ROOT = Path(__file__).resolve().parent.parent.parent

UNSIGNED = {"open_batch", "refuse_results", "cancel_unsigned"}
"""Verbs of the journal that touch only what has no transaction: not in the life of one."""

OF_A_LIFE = {
    "minting.journal.claims",
    "minting.journal.signing",
    "minting.journal.settling",
    "minting.journal.results",
}
"""Rooms of the journal whose verbs are steps in the life of a transaction. What compares, adopts,
stops, retries or parks begins before it or comes after, and is tested where it belongs."""

OUTSIDE = {
    "minting.service.drive.journal_file.append",
    "minting.service.drive.wave.send",
    "minting.cluster.client.Node.submit",
}
"""What else leaves a trace outside the process: the file, and the wire."""


def test_every_number_of_the_list_has_a_point():
    assert {point.number for point in POINTS} == set(range(1, 21))


def test_every_step_of_a_transaction_has_a_point():
    """A new verb of the journal is a new place to die: it needs a row, and so a test."""
    verbs = {
        f"minting.journal.{name}"
        for name in journal.__all__
        if name not in UNSIGNED
        and isfunction(getattr(journal, name))
        and getattr(journal, name).__module__ in OF_A_LIFE
    }
    named = {point.where.replace(".settling._release", ".record_failed") for point in POINTS}

    assert (verbs | OUTSIDE) - named == set()


def test_every_point_is_a_place_in_the_code():
    for point in POINTS:
        if point.where.startswith(ELSEWHERE):
            continue
        owner, name = resolve(point.where)
        assert callable(getattr(owner, name)), point.where
        assert point.where.startswith("minting.")


def test_every_point_is_gone_through_by_a_test():
    """Those of this folder by number; the others where the table says."""
    files = (ROOT / "tests" / "crash").glob("test_*.py")
    source = "\n".join(path.read_text() for path in files)
    here = {point.number for point in POINTS if not point.where.startswith(ELSEWHERE)}
    marks = [line for line in source.splitlines() if line.startswith("@points(")]
    tested = {
        int(word)
        for line in marks
        for word in line.removeprefix("@points(").rstrip(")").split(", ")
        if word.isdigit()
    }

    assert tested == here


def test_docs_show_the_table():
    assert table() in (ROOT / "docs" / "invariants.md").read_text()
