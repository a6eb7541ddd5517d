"""Holes found in the systems that do this job today (engine.md), each provoked on the local chain.

One test a hole, named after it; what it asserts is what ours does instead.
"""

from __future__ import annotations

import subprocess
import sys
from decimal import Decimal
from functools import partial
from unittest.mock import patch

import pytest
from django.contrib.auth.models import User
from rest_framework.test import APIClient
from solders.pubkey import Pubkey
from solders.signature import Signature

from gridtoken.embedded.faults import FaultPlan
from minting import journal
from minting.access.models import ApiToken
from minting.access.scopes import Scope
from minting.cluster.client import Node
from minting.cluster.evidence import collect_death_evidence
from minting.engine.errors import BlockchainError
from minting.models import MintBatch, MintResult, MintSlice, MintTransaction
from minting.service.chain.session import open_session
from minting.service.drive.recover import recover
from minting.service.drive.tracking import Flight
from tests.factories.readings import MeterReadingFactory, household, keypair
from tests.minting.service.test_recovery import KilledError, assert_minted_once, die, queue
from tests.minting.service.test_refusals import outcome, reading_of

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def quick_proof(minting_chain):
    """A proof of death that waits for slots, not for seconds."""

    async def pass_slots(_seconds: float) -> None:
        minting_chain.net.advance(8)

    hurried = partial(collect_death_evidence, pause=0.0, sleep=pass_slots)
    with patch("minting.cluster.nodes.collect_death_evidence", hurried):
        yield


def recover_once() -> None:
    with open_session() as session:
        recover(session)


def signed_and_not_sent(drain, reading) -> MintTransaction:
    """A transaction in the journal whose worker died before it sent anything."""
    queue(reading)
    die(drain, "minting.service.drive.wave.send")
    return MintTransaction.objects.get()


def test_a_send_error_never_discards_a_signature(minting_chain, drain):
    """The send arrives, its answer does not, the worker dies: one signature, saved before."""
    reading = household().reading()
    queue(reading)
    minting_chain.net.faults = FaultPlan(lost_reply=1.0, methods=("sendTransaction",))

    die(drain, "minting.journal.record_sent")

    row = MintTransaction.objects.get()
    assert row.status == "signed"
    assert MintResult.objects.get().transaction_id == row.id
    drain()
    assert MintTransaction.objects.get().signature == row.signature
    assert_minted_once(minting_chain, reading)


def test_an_error_while_looking_up_is_not_absence(minting_chain, drain, quick_proof):
    """It has landed, its life is over, the node answers errors: that frees nothing."""
    reading = household().reading()
    queue(reading)
    die(drain, "minting.journal.record_landed")
    minting_chain.net.expire_blockhashes()
    minting_chain.net.wait_slots(45)
    minting_chain.net.faults = FaultPlan(error=1.0, methods=("getSignatureStatuses",))

    for _ in range(2):
        with pytest.raises(BlockchainError):
            recover_once()

    row = MintTransaction.objects.get()
    assert row.status in {"signed", "sent"}
    assert MintResult.objects.get().transaction_id == row.id
    minting_chain.net.faults = FaultPlan()
    recover_once()
    assert MintTransaction.objects.get().status == "finalized"
    assert_minted_once(minting_chain, reading)


_WORKER = """
import os, signal
import django
django.setup()
from minting import journal
from minting.tasks import look
def die(*_args):
    os.kill(os.getpid(), signal.SIGKILL)
journal.record_sent = die
look()
"""
"""A worker that is killed between the send and its record."""


def test_sent_and_killed_before_recording_does_not_pay_twice(
    minting_chain, child_environment, drain, tmp_path
):
    """A process of its own is killed with SIGKILL right after the send; then the job is rerun."""
    reading = household().reading()
    queue(reading)
    environment = {
        **child_environment,
        "DJANGO_SETTINGS_MODULE": "gridtoken.settings",
        "SOLANA_RPC_URL": minting_chain.net.url,
        "MINT_AUTHORITY_KEYPAIR": str(minting_chain.keypair_file),
        "ENERGY_TOKEN_MINT": str(minting_chain.mint),
        "MINT_JOURNAL_DIR": str(tmp_path / "journal"),
    }

    killed = subprocess.run(
        [sys.executable, "-c", _WORKER],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert killed.returncode == -9, killed.stderr
    MintSlice.objects.filter(status="running").update(lease_until="2020-01-01T00:00Z")
    drain()
    assert MintTransaction.objects.count() == 1
    assert_minted_once(minting_chain, reading)


def test_a_landed_failed_transaction_is_not_counted_as_confirmed(minting_chain, drain):
    """Between simulation and landing the account is frozen: it lands, and ``err`` says so."""
    reading = reading_of("frozen in flight")
    wallet = str(keypair("frozen in flight").pubkey())
    minting_chain.open_account(wallet)
    queue(reading)
    die(drain, "minting.service.drive.wave.send")
    minting_chain.freeze(wallet)

    recover_once()
    minting_chain.net.wait_slots(10)
    recover_once()

    row = MintTransaction.objects.get()
    landing = minting_chain.net.ledger.status(Signature.from_string(row.signature))
    assert landing.err is not None
    assert MintResult.objects.get().success is None
    minting_chain.net.wait_slots(45)
    recover_once()
    row.refresh_from_db()
    assert row.status == "failed"
    drain()
    assert outcome(reading) == (False, "account_frozen")
    assert minting_chain.supply() == 0
    assert MintBatch.objects.get().successful_mints == 0


def test_silence_alone_never_marks_a_transaction_as_failed(minting_chain, drain, quick_proof):
    """Minutes go by and the blockhash still lives: nothing is freed, and the same bytes land."""
    reading = household().reading()
    minting_chain.net.pause()
    try:
        row = _silent(minting_chain, drain, reading)
        MintTransaction.objects.update(signed_at="2020-01-01T00:00Z", sent_at="2020-01-01T00:00Z")
        recover_once()
        recover_once()
        row.refresh_from_db()
        assert row.status == "sent"
        assert MintResult.objects.get().status == "pending"
        minting_chain.net.faults = FaultPlan()
    finally:
        minting_chain.net.faults = FaultPlan()
        minting_chain.net.resume()
    drain()
    assert MintTransaction.objects.get().id == row.id
    assert_minted_once(minting_chain, reading)


def _silent(minting_chain, drain, reading) -> MintTransaction:
    row = signed_and_not_sent(drain, reading)
    minting_chain.net.faults = FaultPlan(drop=1.0)
    recover_once()
    return row


def test_a_landing_between_height_and_statuses_is_seen(minting_chain, drain):
    """The node answers a final height past its life; what landed before is asked for only then."""
    reading = household().reading()
    row = _landing_unseen(minting_chain, drain, reading)
    asked: list[str] = []

    def told(name, genuine):
        async def spy(self, *args, **options):
            asked.append(name)
            return await genuine(self, *args, **options)

        return spy

    with (
        patch.object(Node, "epoch_info", told("height", Node.epoch_info)),
        patch.object(Node, "statuses", told("statuses", Node.statuses)),
        open_session() as session,
    ):
        evidence = session.run(_evidence_of(session, row))

    assert asked[0] == "height"
    assert "height" not in asked[asked.index("statuses") :]
    assert any(report.statuses != (None,) for report in evidence.reports)
    recover_once()
    assert_minted_once(minting_chain, reading)


def _landing_unseen(minting_chain, drain, reading) -> MintTransaction:
    queue(reading)
    die(drain, "minting.journal.record_landed")
    minting_chain.net.expire_blockhashes()
    minting_chain.net.wait_slots(110)
    return MintTransaction.objects.get()


async def _evidence_of(session, row):
    found = await session.cluster.death_evidence(
        [Flight.of(row).watched],
        Pubkey.from_string(row.fee_payer),
        is_known=frozenset().__contains__,
    )
    return found[row.signature]


def test_no_deadline_is_shorter_than_the_blockhashs_life_and_attempts_survive(
    minting_chain, drain, quick_proof
):
    """No second signature before the proof; after two dead workers two attempts are counted."""
    reading = household().reading()
    row = signed_and_not_sent(drain, reading)
    minting_chain.net.faults = FaultPlan(drop=1.0)
    recover_once()
    assert MintTransaction.objects.get().id == row.id
    minting_chain.net.expire_blockhashes()
    minting_chain.net.wait_slots(110)

    recover_once()

    row.refresh_from_db()
    assert row.status == "expired"
    assert MintResult.objects.get().attempts == 1
    minting_chain.net.faults = FaultPlan()
    with pytest.raises(KilledError):
        _drive_and_die(drain)
    MintSlice.objects.filter(status="running").update(lease_until="2020-01-01T00:00Z")
    drain()
    assert MintResult.objects.get().attempts == 2
    assert_minted_once(minting_chain, reading)


def _drive_and_die(drain) -> None:
    def killed(*_args, **_options):
        raise KilledError

    with (
        patch.object(journal, "record_sent", killed),
        patch("minting.journal.hand_back", lambda _claims, **_: 0),
    ):
        drain()


def test_amounts_never_pass_through_a_float(minting_chain, drain):
    """Through a float, this reading would lose its last base unit."""
    reading = household().reading(kwh_amount=Decimal("17.134623221"))
    units = 17_134_623_221
    assert int(float("17.134623221") * 10**9) == units - 1
    batch = queue(reading)

    drain()

    assert MintResult.objects.get(batch=batch).base_units == units
    assert minting_chain.supply() == units


def test_one_bad_recipient_does_not_fail_the_others(minting_chain, drain):
    good = [MeterReadingFactory() for _ in range(3)]
    bad = reading_of("bad recipient")
    minting_chain.freeze(str(keypair("bad recipient").pubkey()))
    queue(*good, bad)

    drain()

    assert outcome(bad) == (False, "account_frozen")
    assert all(outcome(reading) == (True, "") for reading in good)
    assert minting_chain.supply() == 3 * 250_000_000


def test_an_idempotency_key_is_not_accepted_and_ignored(minting_chain, drain):
    """A retry that fails again, sent three times: with a key ignored, three batches.

    Readings that are taken cannot hide it here: what failed may be tried again at any time.
    """
    reading = reading_of("thawed later")
    wallet = str(keypair("thawed later").pubkey())
    minting_chain.freeze(wallet)
    failed = queue(reading)
    drain()
    client = _machine()

    def retry(key: str) -> str:
        path = f"/api/v1/mint-batches/{failed.id}/retry"
        answer = client.post(path, headers={"Idempotency-Key": key})
        assert answer.status_code == 202
        drain()
        return str(answer.json()["id"])

    made = {retry("once") for _ in range(3)}
    assert made == {str(batch.id) for batch in MintBatch.objects.filter(retry_of=failed)}
    assert len(made) == 1
    minting_chain.thaw(wallet)
    assert {retry("once")} == made
    assert minting_chain.supply() == 0
    assert retry("again") not in made
    assert_minted_once(minting_chain, reading)


def _machine() -> APIClient:
    user = User.objects.create_user("machine")
    _, token = ApiToken.objects.issue(user=user, scopes=[Scope.MINT], expires_in=None)
    return APIClient(headers={"Authorization": f"Bearer {token}"})
