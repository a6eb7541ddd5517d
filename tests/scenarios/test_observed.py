"""One request, followed through real processes: its lines, its figures, what stays out of them."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
from django.contrib.auth.models import User
from prometheus_client.parser import text_string_to_metric_families

from gridtoken.demo import free_port
from gridtoken.env import BASE_DIR
from minting.access.models import ApiToken
from minting.access.scopes import Scope
from minting.models import MintBatch, MintTransaction
from tests.factories.readings import household
from tests.minting.conftest import MintingChain, minting_chain
from tests.scenarios.clusters import QueueCluster, until

__all__ = ["minting_chain"]

pytestmark = pytest.mark.django_db(transaction=True)

REQUEST = "gateway-7f3a.21"


@dataclass(frozen=True)
class Scene:
    """A web server and a worker, and what they log."""

    url: str
    web_log: Path
    cluster: QueueCluster

    def lines(self) -> list[dict[str, Any]]:
        """Every line of both, in the order of time; one that is not JSON fails the test."""
        told = self.web_log.read_text() + self.cluster.words()
        lines = [json.loads(line) for line in told.splitlines()]
        return sorted(lines, key=lambda line: str(line["timestamp"]))


@pytest.fixture
def scene(
    minting_chain: MintingChain, child_environment: dict[str, str], tmp_path: Path
) -> Iterator[Scene]:
    environment = {
        **child_environment,
        "DJANGO_SETTINGS_MODULE": "tests.settings",
        "WEB_CONCURRENCY": "1",
        "SOLANA_RPC_URL": minting_chain.net.url,
        "MINT_AUTHORITY_KEYPAIR": str(minting_chain.keypair_file),
        "ENERGY_TOKEN_MINT": str(minting_chain.mint),
        "MINT_JOURNAL_DIR": str(tmp_path / "journal"),
    }
    port, log = free_port(), tmp_path / "web.log"
    with log.open("wb") as output:
        web = subprocess.Popen(
            [sys.executable, "-m", "gunicorn", "--bind", f"127.0.0.1:{port}"],
            cwd=BASE_DIR,
            env=environment,
            stdout=output,
            stderr=output,
        )
    cluster = QueueCluster(environment, tmp_path / "cluster.log")
    scene = Scene(f"http://127.0.0.1:{port}", log, cluster)
    try:
        until(lambda: _alive(scene.url), log.read_text)
        yield scene
    finally:
        web.terminate()
        web.wait(30)
        cluster.end()


def _alive(url: str) -> bool:
    try:
        return httpx2.get(f"{url}/healthz", timeout=5).status_code == 200
    except httpx2.TransportError:
        return False


def _called(url: str) -> dict[str, float]:
    """Requests to nodes by method, of all processes, as the web server tells them."""
    families = text_string_to_metric_families(httpx2.get(f"{url}/metrics", timeout=10).text)
    return {
        sample.labels["method"]: sample.value
        for family in families
        for sample in family.samples
        if sample.name == "gridtoken_rpc_request_duration_seconds_count"
    }


def test_one_id_leads_from_the_request_to_the_chain(scene: Scene):
    resident = household()
    readings = [resident.reading() for _ in range(2)]
    scopes = [Scope.MINT, Scope.READ]
    user = User.objects.create_user("gateway")
    _, token = ApiToken.objects.issue(user=user, scopes=scopes, expires_in=None)

    answer = httpx2.post(
        f"{scene.url}/api/v1/mint-batch?from=Anong",
        json={"reading_ids": [str(each.id) for each in readings]},
        headers={"Authorization": f"Bearer {token}", "X-Request-ID": REQUEST},
        timeout=30,
    )
    assert (answer.status_code, answer.headers["X-Request-ID"]) == (202, REQUEST)
    batch = MintBatch.objects.get(id=answer.json()["id"])
    until(lambda: MintBatch.objects.get(id=batch.id).is_final, scene.cluster.words)

    signature = MintTransaction.objects.get(batch=batch).signature
    lines = scene.lines()
    followed = [line for line in lines if line.get("request_id") == REQUEST]
    told = {line["event"]: line for line in followed}
    assert told["request_finished"]["request"] == "POST /api/v1/mint-batch"
    assert told["batch_opened"]["batch_id"] == str(batch.id)
    # In another process, called by nothing but a nudge.
    claimed, signed = told["slice_claimed"], told["transaction_signed"]
    assert claimed["task"] == "look"
    assert claimed["task_id"] == signed["task_id"]
    assert (claimed["batch_id"], claimed["slice_id"]) == (signed["batch_id"], signed["slice_id"])
    landed = told["transaction_landed"]
    assert landed["signature"] == signed["signature"] == signature
    assert told["batch_finished"]["batch_id"] == str(batch.id)
    # The task itself works for everybody who asks: its nudge knows who called, its work does not.
    shared = [line for line in lines if line.get("task_id") == claimed["task_id"]]
    assert {"task_started", "slice_claimed"} <= {line["event"] for line in shared}
    _nothing_private(scene, token)
    # The worker's calls are told by the web server, within two of its intervals.
    give_up = time.monotonic() + 15
    while not _called(scene.url).get("sendTransaction"):
        assert time.monotonic() < give_up, _called(scene.url)
        time.sleep(0.5)


def _nothing_private(scene: Scene, token: str) -> None:
    told = scene.web_log.read_text() + scene.cluster.words()
    for private in ("Anong", "Srisuk", token):
        assert private not in told
