"""A worker's clock that is set forward and back while it mints; the database's stays right."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from django.db.models.functions import Now
from django.utils import timezone
from django_q.models import Schedule

from gridtoken.embedded.faults import FaultPlan
from minting.journal.claims import LEASE
from minting.models import BatchSource, MintBatch, MintSlice, MintTransaction
from minting.service.requests.prepare import request_batch
from tests.factories.readings import MeterReadingFactory
from tests.minting.conftest import minting_chain
from tests.scenarios.clusters import QueueCluster, until
from tests.scenarios.test_healing import assert_all_minted_once

__all__ = ["minting_chain"]

pytestmark = pytest.mark.django_db(transaction=True)

LIBRARIES = sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))
HOUR, DAY = 3_600, 86_400


class Clock:
    """Of one cluster, by libfaketime: what a person or a time server may set, and nothing else."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "clock"

    def set(self, seconds: int) -> None:
        """So far ahead of everybody else's, or behind."""
        draft = self.file.with_suffix(".new")
        draft.write_text(f"{seconds:+d}")
        draft.replace(self.file)

    @property
    def environment(self) -> dict[str, str]:
        return {
            "LD_PRELOAD": str(LIBRARIES[0]),
            "FAKETIME_TIMESTAMP_FILE": str(self.file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }


@pytest.fixture
def clock(tmp_path: Path) -> Clock:
    if not LIBRARIES:
        pytest.skip("no libfaketime here: apt-get install faketime")
    return Clock(tmp_path)


@pytest.fixture
def cluster(clock, minting_chain, child_environment, tmp_path: Path) -> Iterator[QueueCluster]:
    """A real one, whose clock is a day ahead when it starts."""
    clock.set(DAY)
    started = QueueCluster(
        {
            **child_environment,
            **clock.environment,
            "SOLANA_RPC_URL": minting_chain.net.url,
            "MINT_AUTHORITY_KEYPAIR": str(minting_chain.keypair_file),
            "ENERGY_TOKEN_MINT": str(minting_chain.mint),
            "MINT_JOURNAL_DIR": str(tmp_path / "journal"),
            "Q_WORKERS": "2",
        },
        tmp_path / "cluster.log",
    )
    yield started
    minting_chain.net.faults = FaultPlan()
    started.end()


def order(readings: int = 3) -> MintBatch:
    ids = [MeterReadingFactory().id for _ in range(readings)]
    return request_batch(ids, source=BatchSource.CLI, strict=True)


def next_run(name: str) -> timedelta:
    """From the time that everybody else has."""
    row = Schedule.objects.filter(name=name).first()
    return row.next_run - timezone.now() if row else timedelta()


def test_a_clock_that_is_set_delays_nothing_and_doubles_nothing(minting_chain, clock, cluster):
    minting_chain.net.faults = FaultPlan(block_capacity=0)
    first = order()
    until(lambda: MintTransaction.objects.filter(status="sent").exists(), cluster.words)
    lease = MintSlice.objects.annotate(now=Now()).get()
    assert lease.lease_until - lease.now <= LEASE, "by the database's clock"
    signed = MintTransaction.objects.annotate(now=Now()).first()
    assert abs(signed.signed_at - signed.now) < timedelta(minutes=1), "so is the journal's date"
    until(lambda: next_run("sweep") > timedelta(hours=23), cluster.words)

    clock.set(-HOUR)
    minting_chain.net.faults = FaultPlan()
    second = order()
    batches = MintBatch.objects.filter(id__in=[first.id, second.id])
    until(lambda: not batches.exclude(status="succeeded").exists(), cluster.words)
    until(lambda: next_run("reconcile_all") < timedelta(days=1), cluster.words)
    assert next_run("sweep") < timedelta(minutes=1), "what was dated by the wrong clock is pulled back"
    assert "clock_was_set" in cluster.words()

    clock.set(HOUR)
    third = order()
    until(lambda: MintBatch.objects.get(id=third.id).status == "succeeded", cluster.words)
    assert not MintSlice.objects.exclude(deaths=0).exists()
    assert cluster.words().count('"cluster_started"') == 1, "nobody was taken for dead"
    assert_all_minted_once(minting_chain)
