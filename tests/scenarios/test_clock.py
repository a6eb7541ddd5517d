"""A worker's clock that is set forward and back while it mints; the database's stays right."""

from __future__ import annotations

import shutil
import subprocess
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

HOUR, DAY = 3_600, 86_400

# libfaketime moves the monotonic clock's sleeps too, which no set clock does: this moves only what
# a person or a time server can set.
SOURCE = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>

static long ahead(void) {
    long seconds = 0;
    FILE *file = fopen(getenv("CLOCK_FILE"), "r");
    if (file) {
        if (fscanf(file, "%ld", &seconds) != 1) seconds = 0;
        fclose(file);
    }
    return seconds;
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
    int failed = real(clock, now);
    if (!failed && clock == CLOCK_REALTIME) now->tv_sec += ahead();
    return failed;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    struct timespec exact;
    (void)zone;
    int failed = clock_gettime(CLOCK_REALTIME, &exact);
    now->tv_sec = exact.tv_sec;
    now->tv_usec = exact.tv_nsec / 1000;
    return failed;
}

time_t time(time_t *told) {
    struct timespec exact;
    clock_gettime(CLOCK_REALTIME, &exact);
    if (told) *told = exact.tv_sec;
    return exact.tv_sec;
}
"""


class Clock:
    """Of one cluster: really another time of day for its processes, and nothing else."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "clock"
        self.library = folder / "clock.so"
        (folder / "clock.c").write_text(SOURCE)
        subprocess.run(
            ["gcc", "-shared", "-fPIC", "-o", str(self.library), str(folder / "clock.c"), "-ldl"],
            check=True,
        )

    def set(self, seconds: int) -> None:
        """So far ahead of everybody else's, or behind."""
        draft = self.file.with_suffix(".new")
        draft.write_text(str(seconds))
        draft.replace(self.file)

    @property
    def environment(self) -> dict[str, str]:
        return {"LD_PRELOAD": str(self.library), "CLOCK_FILE": str(self.file)}


@pytest.fixture
def clock(tmp_path: Path) -> Clock:
    if shutil.which("gcc") is None:
        pytest.skip("no gcc here to build a clock with")
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
    assert lease.lease_until is not None
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
    assert next_run("sweep") < timedelta(minutes=1), "pulled back"
    assert "clock_was_set" in cluster.words()

    clock.set(HOUR)
    third = order()
    until(lambda: MintBatch.objects.get(id=third.id).status == "succeeded", cluster.words)
    assert not MintSlice.objects.exclude(deaths=0).exists()
    assert cluster.words().count('"event": "cluster_started"') == 1, "nobody was taken for dead"
    assert_all_minted_once(minting_chain)
