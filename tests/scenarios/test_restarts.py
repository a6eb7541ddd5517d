"""One batch, while web, worker, database and chain are each taken away and come back."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pytest
from django.conf import settings as configured
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from pytest_django import Settings

from chaos.audit import Books, audit
from gridtoken.demo import free_port
from minting.access.models import ApiToken
from minting.access.scopes import Scope
from minting.engine.states import LIVE_TRANSACTIONS
from minting.models import MintBatch, MintResult, MintSlice, MintTransaction
from minting.service.chain.session import open_session
from minting.service.create_mint import create_mint
from minting.service.drive.recover import recover
from stage.servers import Stage
from tests.factories.readings import MeterReadingFactory
from tests.gridtoken.proc import proc
from tests.scenarios.clusters import QueueCluster, until
from tests.scenarios.test_healing import durable

__all__ = ["durable"]

pytestmark = pytest.mark.django_db(transaction=True)

ROOT = Path(__file__).resolve().parent.parent.parent
SOL = 10**9
LEASE = 60.0
"""Seconds for which a slice would stay with a worker that is merely gone."""
READINGS = 12


@dataclass
class Web:
    """Gunicorn with two processes, and who asks it."""

    environment: dict[str, str]
    log: Path
    token: str
    cookie: str
    port: int = field(default_factory=free_port)
    server: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        with self.log.open("ab") as output:
            self.server = subprocess.Popen(
                [sys.executable, "-m", "gunicorn", "--bind", f"127.0.0.1:{self.port}"],
                cwd=ROOT,
                env={**self.environment, "WEB_CONCURRENCY": "2"},
                stdout=output,
                stderr=output,
            )
        until(lambda: self._status("/healthz") == 200, self.log.read_text, 60)

    def stop(self) -> int:
        """As ``systemctl stop`` would; how it ended."""
        assert self.server is not None
        self.server.send_signal(signal.SIGTERM)
        return self.server.wait(30)

    def ask(self, path: str) -> httpx2.Response:
        """As the gateway."""
        return httpx2.get(self.url + path, headers=self._bearer, timeout=60)

    def look(self, path: str) -> httpx2.Response:
        """As a member of staff, in a browser."""
        name = configured.SESSION_COOKIE_NAME
        return httpx2.get(self.url + path, cookies={name: self.cookie}, timeout=60)

    def mint(self, body: dict[str, Any], **more: str) -> httpx2.Response:
        headers = {**self._bearer, "Idempotency-Key": "village-7", **more}
        return httpx2.post(f"{self.url}/api/v1/mint-batch", json=body, headers=headers, timeout=60)

    @property
    def _bearer(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}

    def _status(self, path: str) -> int:
        try:
            return httpx2.get(self.url + path, timeout=10).status_code
        except httpx2.TransportError:
            return 0


@dataclass
class Town:
    """Everything there is of an installation, each part a process of its own."""

    stage: Stage
    mint: str
    environment: dict[str, str]
    web: Web
    folder: Path
    clusters: list[QueueCluster] = field(default_factory=list)

    def start_cluster(self) -> QueueCluster:
        log = self.folder / f"cluster-{len(self.clusters)}.log"
        self.clusters.append(QueueCluster({**self.environment, "Q_WORKERS": "2"}, log))
        return self.clusters[-1]

    def settle(self) -> None:
        """Until all that landed is final."""
        while MintTransaction.objects.filter(status__in=LIVE_TRANSACTIONS).exists():
            with open_session() as session:
                recover(session)
            time.sleep(0.2)

    def reconcile(self) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "manage.py", "reconcile"],
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )


@pytest.fixture
def town(
    durable: None, child_environment: dict[str, str], settings: Settings, tmp_path: Path
) -> Iterator[Town]:
    stage = Stage("restarts", slot_ms=50, workers=2)
    stage.start_chain()
    settings.SOLANA_RPC_URL, settings.SOLANA_RPC_URLS = stage.url, [stage.url]
    settings.MINT_AUTHORITY_KEYPAIR = str(stage.keypair_file)
    settings.MINT_AUTHORITY_ADDRESS = stage.authority
    settings.MINT_JOURNAL_DIR = str(stage.journal_dir)
    stage.chain.call("requestAirdrop", stage.authority, 100 * SOL)
    until(lambda: stage.chain.lamports(stage.authority) > 0)
    with open_session() as session:
        mint = str(create_mint(session).facts.address)
    settings.ENERGY_TOKEN_MINT = mint
    environment = {
        **child_environment,
        "SOLANA_RPC_URL": stage.url,
        "MINT_AUTHORITY_KEYPAIR": str(stage.keypair_file),
        "MINT_JOURNAL_DIR": str(stage.journal_dir),
        "ENERGY_TOKEN_MINT": mint,
    }
    web = Web(environment, tmp_path / "web.log", _token(), _cookie())
    made = Town(stage, mint, environment, web, tmp_path)
    try:
        web.start()
        yield made
    finally:
        for cluster in made.clusters:
            cluster.end()
        if web.server is not None:
            web.server.kill()
            web.server.wait(10)
        stage.tear_down()
        shutil.rmtree(stage.folder, ignore_errors=True)


def _token() -> str:
    user = User.objects.create_user("gateway")
    scopes = [Scope.MINT, Scope.READ]
    return ApiToken.objects.issue(user=user, scopes=scopes, expires_in=None)[1]


def _cookie() -> str:
    staff = Client()
    staff.force_login(User.objects.create_superuser("eva"))
    return staff.cookies[configured.SESSION_COOKIE_NAME].value


def test_each_part_goes_and_comes_back_while_a_batch_is_minted(town: Town) -> None:
    web = town.web
    town.stage.chain.control(faults={"block_capacity": 0})  # nothing lands for now
    body = {"reading_ids": [str(MeterReadingFactory().id) for _ in range(READINGS)]}
    first = town.start_cluster()
    batch = web.mint(body).json()["id"]
    until(_in_flight, first.words)

    _web_goes(web, body, batch)
    second = _worker_goes(town, first)
    _database_goes(web, body, batch)
    _chain_goes(town)

    until(lambda: MintBatch.objects.get(id=batch).status == "succeeded", second.words)
    assert web.ask(f"/api/v1/mint-batches/{batch}").json()["successful_mints"] == READINGS
    assert web.look(f"/admin/minting/mintbatch/{batch}/change/").status_code == 200
    town.settle()
    assert MintResult.objects.filter(success=True).count() == READINGS
    assert (
        audit(Books(town.stage.chain, town.mint, town.stage.authority, town.stage.journal_dir))
        == []
    )
    done = town.reconcile()
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in web.log.read_text()


def _in_flight() -> bool:
    return MintTransaction.objects.filter(status__in=("signed", "sent")).exists()


def _web_goes(web: Web, body: dict[str, Any], batch: str) -> None:
    """A request that waits for its batch is answered before the server ends."""
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(web.mint, body, Prefer="wait=3")
        time.sleep(0.5)
        assert web.stop() == 0, web.log.read_text()
        answer = waiting.result()
    assert (answer.status_code, answer.json()["id"]) == (202, batch)
    web.start()
    assert web.mint(body).json()["id"] == batch


def _worker_goes(town: Town, first: QueueCluster) -> QueueCluster:
    """Who is told to end hands over to who is there, long before its lease is over."""
    second = town.start_cluster()
    second.member("monitor")
    began = time.monotonic()
    os.kill(first.pid, signal.SIGTERM)
    until(lambda: _driven_by(second), second.words)
    took = time.monotonic() - began
    assert took < LEASE / 2, f"{took:.0f} s"
    assert first.process.wait(25) == 0, first.words()
    return second


def _driven_by(cluster: QueueCluster) -> bool:
    names = MintSlice.objects.filter(status="running").values_list("claimed_by", flat=True)
    drivers = {int(name.rpartition(":")[2]) for name in names}
    return bool(drivers) and drivers <= cluster.processes()


def _database_goes(web: Web, body: dict[str, Any], batch: str) -> None:
    """While it is away everybody is told so, in the form that they read, and may ask again."""
    with _no_database(), ThreadPoolExecutor(4) as threads:
        asked: list[Future[httpx2.Response]] = [
            threads.submit(web.ask, f"/api/v1/mint-batches/{batch}"),
            threads.submit(web.mint, body),
            threads.submit(web.look, "/admin/"),
            threads.submit(web.ask, "/readyz"),
        ]
        status, minting, page, ready = (each.result() for each in asked)
        assert web.ask("/healthz").status_code == 200
    for answer in (status, minting):
        assert (answer.status_code, answer.json()["code"]) == (503, "database_unavailable")
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert answer.headers["Retry-After"] == "5"
    assert page.status_code == 503
    assert "The database does not answer just now" in page.text
    assert ready.status_code == 503
    assert "database" in ready.json()["unavailable"]
    until(lambda: web.ask("/readyz").status_code == 200, web.log.read_text, 30)
    assert web.mint(body).json()["id"] == batch


class _no_database:  # noqa: N801 — reads as what it is
    """The session's server is shut down, and whoever would start it again is held."""

    def __enter__(self) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SHOW data_directory")
            (folder,) = cursor.fetchone()
        connection.close()
        self._keeper = _keeper_of(Path(folder).parent)
        postmaster = int((Path(folder) / "postmaster.pid").read_text().split()[0])
        os.kill(self._keeper, signal.SIGSTOP)
        os.kill(postmaster, signal.SIGQUIT)

    def __exit__(self, *_: object) -> None:
        os.kill(self._keeper, signal.SIGCONT)


def _keeper_of(folder: Path) -> int:
    for path in Path("/proc").glob("[0-9]*"):
        words = proc(path / "cmdline").split(b"\0")
        if str(folder).encode() in words and any(word.endswith(b"postgres.py") for word in words):
            return int(path.name)
    raise AssertionError(f"nobody keeps {folder}")


def _chain_goes(town: Town) -> None:
    """Stopped for some seconds, and started from its ledger; what was in the air is not."""
    town.stage.stop_chain()
    time.sleep(2)
    assert "node" in town.web.ask("/readyz").json()["unavailable"]
    town.stage.start_chain()
