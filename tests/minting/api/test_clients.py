"""As users would: the page's examples as they stand, and a generated client."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command

from minting.access.models import ApiCall, ApiToken
from minting.access.scopes import Scope
from minting.models import MintResult
from readings.models import MeterReading
from tests.factories.readings import MeterFactory, WalletFactory
from tests.minting.api.test_minting import working
from tests.minting.conftest import MintingChain

pytestmark = pytest.mark.django_db(transaction=True)

ROOT = Path(__file__).resolve().parents[3]
BOX = re.compile(r"^```(sh|python)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
PAID = r"^[0-9a-f-]{36} (?:confirmed|finalized) \w{80,}$"
PRELUDE = """
set -euo pipefail
manage.py() { "$PYTHON" "$ROOT/manage.py" "$@"; }
"""


def script(api: str) -> str:
    """All boxes of docs/api.md in order, against another address."""
    boxes = BOX.findall((ROOT / "docs" / "api.md").read_text())
    assert {"sh", "python"} == {language for language, _ in boxes}
    parts = [
        text if language == "sh" else f"python3 - <<'PYTHON'\n{text}PYTHON\n"
        for language, text in boxes
    ]
    whole = "\n".join([PRELUDE, *parts])
    assert whole.count("http://127.0.0.1:8000/api/v1") == 1
    return whole.replace("http://127.0.0.1:8000/api/v1", api)


@pytest.mark.skipif(not shutil.which("curl"), reason="the page's examples are of curl")
def test_the_examples_of_the_page_run_as_they_stand(
    live_server: Any,
    minting_chain: MintingChain,
    drain: Callable[[], None],
    child_environment: dict[str, str],
    tmp_path: Path,
) -> None:
    User.objects.create_user("gateway")
    MeterFactory(serial="METER-1", owner=WalletFactory().owner)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = child_environment | {"PATH": path, "PYTHON": sys.executable, "ROOT": str(ROOT)}

    with working(drain):
        done = subprocess.run(
            ["bash", "-c", script(f"{live_server.url}/api/v1")],
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"(304|200)$", done.stdout, re.MULTILINE)
    assert len(re.findall(PAID, done.stdout, re.MULTILINE)) == 3
    assert MintResult.objects.filter(success=True).count() == 4
    assert MeterReading.objects.filter(revision=2).count() == 1
    assert ApiCall.objects.filter(effect=True, username="gateway").count() == 2


CLIENT = """
import json, os, sys, time
from datetime import datetime, timedelta, timezone

from grid_token_client import AuthenticatedClient
from grid_token_client.api.mint_batch import mint_batch
from grid_token_client.api.mint_batches import mint_batches_results_list, mint_batches_retrieve
from grid_token_client.api.readings import readings_create
from grid_token_client.models import BatchStatus, MintRequest, Problem, Submission

client = AuthenticatedClient(base_url=os.environ["HOST"], token=os.environ["TOKEN"])
end = datetime.now(timezone.utc).replace(second=0, microsecond=0) - timedelta(minutes=30)
quarter = timedelta(minutes=15)
sent = [
    Submission("METER-1", "0.25", end - (n + 1) * quarter, end - n * quarter) for n in range(2)
]
outcomes = readings_create.sync(client=client, body=sent)
ids = [each.id for each in outcomes.results]
batch = mint_batch.sync(client=client, body=MintRequest(ids), idempotency_key="generated")
while batch.status in (BatchStatus.QUEUED, BatchStatus.RUNNING):
    time.sleep(0.3)
    batch = mint_batches_retrieve.sync(batch.id, client=client)
page = mint_batches_results_list.sync(batch.id, client=client)
refused = mint_batch.sync(client=client, body=MintRequest(ids))
assert isinstance(refused, Problem), refused
print(json.dumps([batch.status, [each.tx_signature for each in page.results], refused.code]))
"""


def test_a_generated_client_sends_mints_waits_and_reads(
    live_server: Any,
    minting_chain: MintingChain,
    drain: Callable[[], None],
    tmp_path: Path,
) -> None:
    user = User.objects.create_user("gateway")
    _, token = ApiToken.objects.issue(
        user=user, scopes=[Scope.READ, Scope.SUBMIT, Scope.MINT], expires_in=None
    )
    MeterFactory(serial="METER-1", owner=WalletFactory().owner)
    call_command("spectacular", "--file", str(tmp_path / "schema.yml"))
    (tmp_path / "config.yml").write_text("post_hooks: []\n")
    generator = Path(sys.executable).parent / "openapi-python-client"
    options = "generate --fail-on-warning --path schema.yml --config config.yml"
    made = subprocess.run(
        [generator, *options.split()],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert made.returncode == 0, made.stdout + made.stderr

    with working(drain):
        done = subprocess.run(
            [sys.executable, "-c", CLIENT],
            env={**os.environ, "HOST": live_server.url, "TOKEN": token},
            cwd=tmp_path / "grid-token-client",
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    assert done.returncode == 0, done.stderr
    status, signatures, code = json.loads(done.stdout)
    assert (status, code) == ("succeeded", "invalid_batch_data")
    assert sorted(signatures) == sorted(MintResult.objects.values_list("tx_signature", flat=True))
    assert len(signatures) == 2
