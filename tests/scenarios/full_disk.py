"""A disk that is full, really: ``python -m tests.scenarios.full_disk`` (as root, who may mount).

An installation of its own, whose PostgreSQL and whose ``MINT_JOURNAL_DIR`` each lie on a small
disk in memory. Each is filled while readings are minted, and freed again. Says what it saw.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import django

from stage.servers import Stage

DATABASE_MB, JOURNAL_KB = 192, 512
CLUSTER = "workers"
PATIENCE = 90.0
"""Seconds: where a worker could not even hand back, its lease (60) has to run out."""
FULL_FOR = 6.0
"""Seconds: longer than the guard's look at the tables."""
AFTER_ALL = 1.0
"""Seconds in which whoever met the full disk might still do what it must not."""


def main() -> int:
    stage = Stage("full-disk", slot_ms=50, workers=2)
    database, journal = stage.folder / "postgres", stage.journal_dir
    try:
        with _disk(database, f"{DATABASE_MB}m"), _disk(journal, f"{JOURNAL_KB}k"):
            mint = stage.set_up()
            os.environ.update(stage.environment)
            django.setup()
            try:
                Scene(stage, mint).play()
            finally:
                stage.tear_down()
    finally:
        shutil.rmtree(stage.folder, ignore_errors=True)
    return 0


@contextmanager
def _disk(folder: Path, size: str) -> Iterator[None]:
    folder.mkdir(parents=True)
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size},mode=711", "tmpfs", str(folder)], check=True
    )
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


class Scene:
    """Three fires, one after the other, on one cluster that nobody starts again."""

    def __init__(self, stage: Stage, mint: str) -> None:
        self.stage = stage
        self.mint = mint
        # Models can be imported only now that the settings know where everything is.
        self.models: Any = import_module("minting.models")
        self.people: Any = import_module("chaos.people")
        self.prepare: Any = import_module("minting.service.requests.prepare")
        self.progress: Any = import_module("minting.service.watch.progress")
        self.readings = iter(self.people.seed_readings(1_000, seed=3))

    def play(self) -> None:
        cluster = self.stage.start_cluster(CLUSTER)
        try:
            self._minted(self._order(5), "before")
            self._journal_full()
            self._tables_full()
            self._log_full()
            cluster.raise_if_ended()
        finally:
            cluster.stop()
        self._audit()

    def _journal_full(self) -> None:
        """Not a byte is sent whose leaves are not on disk, and no reading fails of it."""
        with _filled(self.stage.journal_dir):
            batch = self._order(200)
            _until(lambda: self._waits_for(batch), "staff are told why nothing is signed")
            self._tried_again("journal_unwritable")
            said = self._waits_for(batch)
            assert "No space left on device" in said, said
            assert not self._transactions(batch).exists(), "signed without its leaves on disk"
            batch.refresh_from_db()
            assert batch.failed_mints == 0
        self._minted(batch, f"journal's disk full ({said})")

    def _tables_full(self) -> None:
        """The commit fails, so nothing is sent; and intake and pages fail, so nobody is misled."""
        batch = self._order(200)
        with _filled(self.stage.folder / "postgres"):
            before = self._signatures_on_chain()
            _until(self._refused, "the disk was not full")
            time.sleep(FULL_FOR)  # what fails first is not told: a claim, a commit, a call
            on_chain = self._signatures_on_chain() - before
            refused = self._refused()
        assert refused, "the disk was not full"
        journalled = set(self.models.MintTransaction.objects.values_list("signature", flat=True))
        assert on_chain <= journalled, "on the chain and not in the journal"
        self._minted(batch, f"database's disk full ({refused})")

    def _log_full(self) -> None:
        """PostgreSQL stops itself when it cannot write ahead, and stays away until it can."""
        django_db: Any = import_module("django.db")
        batch = self._order(200)
        with _filled(self.stage.folder / "postgres"):
            stopped = False
            for _ in range(12):
                try:
                    with django_db.connection.cursor() as cursor:
                        cursor.execute("SELECT txid_current(), pg_switch_wal()")
                except django_db.Error:
                    stopped = True
                    break
            assert stopped, "there was always another segment"
            django_db.connection.close()
            self._tried_again("tables_not_seen")
        self._minted(batch, "write-ahead log's disk full, PostgreSQL stopped")

    def _tried_again(self, event: str) -> None:
        """Until the cluster has met it from now on, and a moment longer."""
        log = self.stage.logs / f"{CLUSTER}.log"
        before = log.read_text(errors="replace").count(event)
        _until(lambda: log.read_text(errors="replace").count(event) > before, event)
        time.sleep(AFTER_ALL)

    def _order(self, number: int) -> Any:
        ids = [next(self.readings) for _ in range(number)]
        return self.prepare.request_batch(ids, source=self.models.BatchSource.CLI, strict=True)

    def _waits_for(self, batch: Any) -> str:
        fresh = self.models.MintBatch.objects.get(id=batch.id)
        return str(self.progress.progress_of(fresh).waits_for)

    def _transactions(self, batch: Any) -> Any:
        return self.models.MintTransaction.objects.filter(batch_id=batch.id)

    def _signatures_on_chain(self) -> set[str]:
        return {entry.signature for entry in self.stage.chain.history(self.stage.authority)}

    def _refused(self) -> str:
        """What PostgreSQL's own log says of the disk."""
        log = (self.stage.folder / "postgres" / "server.log").read_text(errors="replace")
        lines = [line for line in log.splitlines() if "No space left on device" in line]
        return lines[-1] if lines else ""

    def _minted(self, batch: Any, after: str) -> None:
        began = time.monotonic()
        _until(lambda: self._status(batch) == "succeeded", f"{after}: goes on by itself")
        sys.stdout.write(f"{after}: minted {time.monotonic() - began:.1f} s after\n")
        sys.stdout.flush()

    def _status(self, batch: Any) -> str:
        return str(self.models.MintBatch.objects.values_list("status", flat=True).get(id=batch.id))

    def _audit(self) -> None:
        auditing: Any = import_module("chaos.audit")
        recovering: Any = import_module("minting.service.drive.recover")
        sessions: Any = import_module("minting.service.chain.session")
        states: Any = import_module("minting.engine.states")
        live = self.models.MintTransaction.objects.filter(status__in=states.LIVE_TRANSACTIONS)
        while live.exists():
            with sessions.open_session() as session:
                recovering.recover(session)
            time.sleep(0.2)
        books = auditing.Books(
            self.stage.chain, self.mint, self.stage.authority, self.stage.journal_dir
        )
        assert auditing.audit(books) == []


@contextmanager
def _filled(folder: Path) -> Iterator[None]:
    """Not a byte is left on the disk of this folder."""
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file:
        for size in (1 << 20, 1 << 12):
            try:
                while True:
                    file.write(b"\0" * size)
            except OSError:
                continue
    try:
        yield
    finally:
        ballast.unlink()


def _until(done: Callable[[], object], what: str) -> None:
    errors: Any = import_module("django.db")
    give_up = time.monotonic() + PATIENCE
    while time.monotonic() < give_up:
        try:
            if done():
                return
        except errors.Error:
            errors.connection.close()
        time.sleep(0.1)
    raise AssertionError(f"not within {PATIENCE:.0f} s: {what}")


if __name__ == "__main__":
    sys.exit(main())
