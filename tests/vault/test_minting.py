"""Minting with the key in Vault: the whole way, and what its failures cost. Never a reading."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from django.utils import timezone
from solders.keypair import Keypair

from chaos.audit import Books, audit
from minting.models import BatchSource, MintBatch, MintResult, MintSlice, MintTransaction
from minting.service import nudges
from minting.service.chain.session import open_session
from minting.service.create_mint import create_mint
from minting.service.drive import mute
from minting.service.requests.prepare import request_batch
from minting.tasks import look, sweep, tend_signer
from readings.models import MeterReading
from stage.chain import Chain
from tests.factories.readings import MeterReadingFactory
from tests.minting.conftest import SOL, MintingChain
from tests.vault.operator import KEY, Operator

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def operator(standin) -> Operator:
    return Operator(standin.url, standin.root)


@pytest.fixture
def vault_chain(transactional_db, chain, settings, operator, tmp_path) -> MintingChain:
    """A mint whose authority is Vault's key, made by asking Vault; no key of ours anywhere."""
    chain.airdrop(operator.address(), 100 * SOL)
    settings.MINT_SIGNER = "vault"
    settings.VAULT_ADDR, settings.VAULT_TRANSIT_KEY = operator.url, KEY
    settings.VAULT_TOKEN = operator.token()
    settings.VAULT_TIMEOUT_SECS = 1
    settings.MINT_AUTHORITY_KEYPAIR = settings.MINT_AUTHORITY_ADDRESS = None
    settings.MINT_JOURNAL_DIR = str(tmp_path / "journal")
    with open_session() as session:
        made = create_mint(session)
    assert made.facts.mint_authority == operator.address()
    settings.ENERGY_TOKEN_MINT = str(made.facts.address)
    return MintingChain(chain, Keypair(), Path(), made.facts.address, settings)


def queue(readings: Sequence[MeterReading]) -> MintBatch:
    ids = [each.id for each in readings]
    return request_batch(ids, source=BatchSource.CLI, strict=True, nudge=False)


def nothing_was_signed(batch: MintBatch, tmp_path: Path) -> bool:
    """Whether there is no journal row, no line in the journal file, and nothing in doubt."""
    lines = [line for file in tmp_path.glob("journal/*") for line in file.read_text().splitlines()]
    live = MintResult.objects.filter(batch=batch, transaction__isnull=False)
    return not (lines or live.exists() or MintTransaction.objects.exists())


def test_a_batch_whose_key_nobody_here_has(vault_chain, standin, operator, drain):
    readings = MeterReadingFactory.create_batch(130)
    before = standin.count("sign/")
    batch = queue(readings)
    drain()
    batch.refresh_from_db()
    assert (batch.status, batch.successful_mints) == ("succeeded", 130)
    assert vault_chain.supply() == 130 * 250_000_000
    transactions = MintTransaction.objects.count()
    assert transactions > 3
    # A wave's transactions are signed in one call.
    assert standin.count("sign/") - before == 1

    # Rotated: the mint's authority is the first version still, and that signs on.
    operator.rotate()
    vault_chain.settings.MINT_AUTHORITY_ADDRESS = str(operator.address(1))
    batch = queue([MeterReadingFactory()])
    drain()
    batch.refresh_from_db()
    assert batch.status == "succeeded"


def test_vault_goes_down_in_the_middle_and_comes_back(
    vault_chain, standin, drain, monkeypatch, tmp_path
):
    monkeypatch.setattr(mute, "PATIENCE", 1.0)
    batch = queue([MeterReadingFactory(), MeterReadingFactory()])
    with standin.failing(status=503, body='{"errors": ["Vault is sealed"]}'):
        report = look()
        assert (report["signed"], report["handed_back"]) == (0, 1)
        assert nothing_was_signed(batch, tmp_path)
        # Asked again ever more seldom: a question costs the nodes a simulation.
        assert standin.count("sign/") < 30
    batch.refresh_from_db()
    assert (batch.status, batch.pending_mints) == ("running", 2)
    drain()
    batch.refresh_from_db()
    assert batch.status == "succeeded"
    assert vault_chain.supply() == 2 * 250_000_000
    assert MintTransaction.objects.count() == 1


def test_what_a_person_has_to_mend_is_told_and_tried_again_later(
    vault_chain, standin, operator, drain, tmp_path
):
    reading = MeterReadingFactory()
    batch = queue([reading])
    operator.write("auth/token/revoke", token=vault_chain.settings.VAULT_TOKEN)
    drain()
    (result,) = MintResult.objects.filter(batch=batch)
    assert (result.status, result.error_code) == ("failed", "signer_refused")
    assert "403" in result.error
    assert vault_chain.settings.VAULT_TOKEN not in result.error
    reading.refresh_from_db()
    assert reading.status == "retrying"
    assert nothing_was_signed(batch, tmp_path)

    vault_chain.settings.VAULT_TOKEN = operator.token()
    with standin.failing(forge=True):
        forged = queue([MeterReadingFactory()])
        drain()
    (result,) = MintResult.objects.filter(batch=forged)
    assert (result.status, result.error_code) == ("failed", "signer_refused")
    assert "signature is not that of" in result.error
    assert nothing_was_signed(forged, tmp_path)

    again = request_batch([reading.id], source=BatchSource.ADMIN, strict=True, nudge=False)
    drain()
    again.refresh_from_db()
    assert again.status == "succeeded"
    assert vault_chain.supply() == 250_000_000


def environment(chain: MintingChain, child_environment: dict[str, str]) -> dict[str, str]:
    """For a process of its own; without ``.env`` and without any key."""
    names = ("MINT_SIGNER", "VAULT_ADDR", "VAULT_TRANSIT_KEY", "VAULT_TOKEN", "ENERGY_TOKEN_MINT")
    given = {name: str(getattr(chain.settings, name)) for name in names}
    return {
        **child_environment,
        **given,
        "SOLANA_RPC_URL": chain.net.url,
        "MINT_JOURNAL_DIR": str(chain.settings.MINT_JOURNAL_DIR),
        "VAULT_TIMEOUT_SECS": "10",
    }


def books(chain: MintingChain, authority: str) -> Books:
    return Books(
        chain=Chain(chain.net.url),
        mint=str(chain.mint),
        authority=authority,
        journal_dir=Path(chain.settings.MINT_JOURNAL_DIR),
    )


def until(done) -> None:
    give_up = time.monotonic() + 60
    while not done():
        assert time.monotonic() < give_up
        time.sleep(0.05)


def test_killed_while_vault_answers_and_then_through_the_queue(
    vault_chain, standin, operator, child_environment, tmp_path
):
    surroundings = environment(vault_chain, child_environment)
    readings = MeterReadingFactory.create_batch(3)
    batch = queue(readings)
    before = standin.count("sign/")
    with standin.failing(delay=3.0, times=1):
        worker = subprocess.Popen(
            [
                sys.executable,
                "manage.py",
                "shell",
                "-v0",
                "-c",
                "import minting.tasks as t; t.look()",
            ],
            env=surroundings,
        )
        until(lambda: standin.count("sign/") > before)
        worker.kill()
        worker.wait()
    assert nothing_was_signed(batch, tmp_path)

    log = (tmp_path / "worker.log").open("w+")
    worker = subprocess.Popen(
        [sys.executable, "manage.py", "qcluster"], env=surroundings, stdout=log, stderr=log,
        start_new_session=True,
    )  # fmt: skip
    try:
        more = request_batch(
            [MeterReadingFactory().id], source=BatchSource.API, strict=True, max_size=50
        )
        until(lambda: MintBatch.objects.filter(id=more.id, status="succeeded").exists())
        # The dead worker's lease runs out by itself; a test need not wait for it.
        MintSlice.objects.filter(batch=batch).update(lease_until=timezone.now())
        nudges.nudge()
        until(lambda: MintBatch.objects.filter(id=batch.id, status="succeeded").exists())
    finally:
        worker.terminate()
        worker.wait(30)
        log.seek(0)
        told = log.read()
        log.close()
    until(lambda: sweep() and not MintTransaction.objects.exclude(status="finalized").exists())
    assert audit(books(vault_chain, str(operator.address()))) == []
    assert vault_chain.supply() == 4 * 250_000_000
    assert surroundings["VAULT_TOKEN"] not in told
    assert "worker_starts" in told


def test_the_token_is_kept_alive_where_nothing_is_signed(vault_chain, standin, operator):
    vault_chain.settings.VAULT_TOKEN = operator.token(ttl="3s")
    assert tend_signer() == "keeps"
    standin.close()
    assert tend_signer() == "signer_unavailable"
    vault_chain.settings.VAULT_TOKEN = ""
    assert tend_signer() == "signer_refused"
    vault_chain.settings.MINT_SIGNER = "keypair"
    assert tend_signer() == "nobody asked"
