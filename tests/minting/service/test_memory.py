"""A worker's memory does not grow with what it mints."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from minting.models import BatchSource, MintResult
from minting.service.requests.prepare import request_batch
from tests.factories.village import harvest, village

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads Linux's /proc"),
]

MOST = 300.0
"""Megabytes that a worker may hold (docs/performance.md)."""

SLACK = 40.0
"""Megabytes by which ten times the readings may differ: one slice's plans, and what the allocator
keeps. Were all plans of the larger batch held, it would be more than twice that."""


@pytest.fixture
def worker_peak(minting_chain, child_environment):
    """Works everything off in a process of its own; the megabytes that it held at most."""
    environment = {
        **child_environment,
        "SOLANA_RPC_URL": minting_chain.net.url,
        "MINT_AUTHORITY_KEYPAIR": str(minting_chain.keypair_file),
        "ENERGY_TOKEN_MINT": str(minting_chain.mint),
        "MINT_JOURNAL_DIR": str(minting_chain.settings.MINT_JOURNAL_DIR),
    }

    def work() -> float:
        command = [sys.executable, "-m", "tests.minting.service.driving"]
        done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True)
        return float(done.stdout)

    return work


def test_memory_stays_flat(worker_peak):
    villagers = village(300)
    peaks = []
    for each in (4, 40):
        ids = [reading.id for reading in harvest(villagers, each=each)]
        batch = request_batch(ids, source=BatchSource.CLI, strict=True)
        peaks.append(worker_peak())
        batch.refresh_from_db()
        assert batch.successful_mints == 300 * each

    assert MintResult.objects.filter(success=True).count() == 300 * 44
    assert max(peaks) <= MOST, peaks
    assert peaks[1] - peaks[0] <= SLACK, peaks
