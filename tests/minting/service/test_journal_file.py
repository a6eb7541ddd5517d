"""The journal's file on a disk that takes only part of it: whole lines, or nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from django.db import OperationalError, connection
from django.utils import timezone
from django_q.models import OrmQ

from minting.models import BatchSource, MintBatch, MintTransaction
from minting.service.drive import upkeep
from minting.service.requests.prepare import request_batch
from minting.service.watch.progress import progress_of
from minting.tasks import look
from tests.factories.readings import MeterReadingFactory

pytestmark = pytest.mark.django_db(transaction=True)


def order(readings: int) -> MintBatch:
    ids = [MeterReadingFactory().id for _ in range(readings)]
    return request_batch(ids, source=BatchSource.CLI, strict=True)


def test_a_full_disk_fails_no_reading_and_staff_are_told(minting_chain, drain, monkeypatch):
    monkeypatch.setattr("minting.service.drive.mute.PATIENCE", 0.5)
    folder = Path(minting_chain.settings.MINT_JOURNAL_DIR)
    folder.mkdir()
    for day in range(-1, 2):  # midnight may pass
        date = (timezone.now() + timedelta(days=day)).date()
        (folder / f"journal-{date}.jsonl").symlink_to("/dev/full")
    batch = order(3)

    assert look()["signed"] == 0

    assert not MintTransaction.objects.exists()
    batch.refresh_from_db()
    assert (batch.failed_mints, batch.slices.get().status) == (0, "queued")
    told = progress_of(batch).waits_for
    assert told.startswith("Nothing is signed: on ")
    assert told.endswith("No space left on device. It goes on by itself once that is mended.")

    for link in folder.iterdir():
        link.unlink()
    drain()
    batch.refresh_from_db()
    assert batch.successful_mints == 3
    (file,) = folder.iterdir()
    filed = [json.loads(line) for line in file.read_text().splitlines()]
    assert {line["signature"] for line in filed} == {
        row.signature for row in MintTransaction.objects.all()
    }


def test_a_full_database_is_not_tried_again_at_once(minting_chain, drain):
    """Each try leaves its leaves in the journal's file: without a pause they fill that disk too."""
    batch = order(3)
    OrmQ.objects.all().delete()
    with full_database():
        with pytest.raises(OperationalError, match="No space left"):
            look()
        assert not OrmQ.objects.exists()
    assert batch.slices.get().status == "queued"  # handed back, as ever
    assert upkeep.call_if_unattended()  # by the watchdog, within seconds
    drain()
    batch.refresh_from_db()
    assert batch.successful_mints == 3


@contextmanager
def full_database() -> Iterator[None]:
    """What PostgreSQL answers to a row for which there is no room."""
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE FUNCTION no_room() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
            " RAISE EXCEPTION 'No space left on device' USING ERRCODE = 'disk_full'; END $$;"
            "CREATE TRIGGER no_room BEFORE INSERT ON minting_minttransaction"
            " EXECUTE FUNCTION no_room()"
        )
        try:
            yield
        finally:
            cursor.execute("DROP FUNCTION no_room CASCADE")


def test_half_a_line_is_taken_back(tmp_path):
    """The kernel takes a part and refuses the rest, as on a disk that is nearly full."""
    file = tmp_path / "lines"
    file.write_text("whole\n")
    child = """
import os, resource, sys
from minting.service.drive.journal_file import _write
resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10))
try:
    _write(os.open(sys.argv[1], os.O_RDWR | os.O_APPEND), b"cut off\\n")
except OSError as error:
    print(error.strerror)
"""
    done = subprocess.run(
        [sys.executable, "-c", child, str(file)], capture_output=True, text=True, check=True
    )

    assert done.stdout == "File too large\n"
    assert file.read_text() == "whole\n"


def test_a_line_is_not_glued_to_half_a_line_of_somebody_who_died(minting_chain, drain):
    folder = Path(minting_chain.settings.MINT_JOURNAL_DIR)
    order(1)
    drain()
    (file,) = folder.glob("*.jsonl")
    with file.open("ab") as torn:
        torn.write(b'{"format":1,"signature":"cut o')
    order(1)
    drain()

    before, half, after = file.read_text().splitlines()
    assert json.loads(before)["format"] == json.loads(after)["format"] == 1
    assert half.endswith("cut o")
