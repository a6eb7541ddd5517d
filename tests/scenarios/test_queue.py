"""The whole way: a batch through the real queue, a worker of its own processes, and the chain."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import pytest
from django_q.models import OrmQ, Schedule

from minting.models import BatchSource, MintBatch, MintResult
from minting.service.requests.prepare import request_batch
from tests.factories.readings import MeterReadingFactory
from tests.minting.conftest import minting_chain

__all__ = ["minting_chain"]

pytestmark = pytest.mark.django_db(transaction=True)

PATIENCE = 60.0


@pytest.fixture
def worker(minting_chain, child_environment, tmp_path) -> Iterator[subprocess.Popen]:
    """``manage.py qcluster`` with two workers, stopped by SIGTERM to its main process."""
    environment = {
        **child_environment,
        "SOLANA_RPC_URL": minting_chain.net.url,
        "MINT_AUTHORITY_KEYPAIR": str(minting_chain.keypair_file),
        "ENERGY_TOKEN_MINT": str(minting_chain.mint),
        "Q_WORKERS": "2",
        "MINT_JOURNAL_DIR": str(tmp_path / "journal"),
    }
    log = (tmp_path / "worker.log").open("w")
    process = subprocess.Popen(
        [sys.executable, "manage.py", "qcluster"],
        env=environment,
        stdout=log,
        stderr=log,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(10)
        log.close()


def until(done: Callable[[], bool], log: str = "") -> None:
    give_up = time.monotonic() + PATIENCE
    while not done():
        assert time.monotonic() < give_up, log
        time.sleep(0.1)


def test_fifty_readings_of_fifty_users_go_through_queue_and_chain(minting_chain, worker):
    ids = [MeterReadingFactory().id for _ in range(50)]

    batch = request_batch(ids, source=BatchSource.API, strict=True, max_size=50)
    until(lambda: MintBatch.objects.get(id=batch.id).is_final)

    batch.refresh_from_db()
    assert (batch.status, batch.successful_mints) == ("succeeded", 50)
    assert minting_chain.supply() == 50 * 250_000_000
    assert MintResult.objects.exclude(tx_signature="").count() == 50
    until(lambda: not OrmQ.objects.exists())
    assert worker.poll() is None


def test_a_worker_makes_the_schedules_and_stops_when_told(minting_chain, worker):
    until(lambda: Schedule.objects.filter(name="sweep").exists())
    until(lambda: Schedule.objects.get(name="sweep").func == "minting.tasks.sweep")

    worker.send_signal(signal.SIGTERM)

    assert worker.wait(30) == 0


def test_a_wrong_mint_stops_the_worker_at_the_start(minting_chain, child_environment):
    environment = {
        **child_environment,
        "SOLANA_RPC_URL": minting_chain.net.url,
        "MINT_AUTHORITY_KEYPAIR": str(minting_chain.keypair_file),
        "ENERGY_TOKEN_MINT": str(minting_chain.authority.pubkey()),
    }

    run = subprocess.run(
        [sys.executable, "manage.py", "qcluster"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert run.returncode != 0
    assert "is no mint" in run.stderr.splitlines()[-1]
