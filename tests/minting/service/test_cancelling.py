"""Cancelling a running batch: each reading is cancelled or signed, never both."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Event
from unittest.mock import patch

import pytest
from django.core.management import call_command
from django.db import connection, transaction
from django.urls import reverse

from gridtoken.embedded.faults import FaultPlan
from minting import journal
from minting.access.scopes import Scope
from minting.engine import packing
from minting.engine.states import TransactionStatus
from minting.journal import Expiry, cancelling, signing
from minting.journal.results import move_results
from minting.models import BatchSource, MintBatch, MintResult, MintTransaction
from minting.service.drive import journal_file, submit, wave
from minting.service.requests.cancel import cancel_batch
from minting.service.requests.prepare import request_batch
from minting.tasks import look
from readings.models import MeterReading
from tests.factories.readings import MeterReadingFactory
from tests.minting.api.conftest import machine
from tests.minting.service.test_races import together

__all__ = ["machine"]

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def small_transactions(monkeypatch):
    """One wallet a transaction, so that few readings make a wave of several."""
    monkeypatch.setattr(packing, "GROUPS_A_TRANSACTION", 1)


def queue(number: int) -> MintBatch:
    ids = [MeterReadingFactory().id for _ in range(number)]
    return request_batch(ids, source=BatchSource.CLI, strict=True)


def assert_either_or(chain, batch: MintBatch) -> None:
    """Every reading is minted by one transaction, or cancelled and free; the chain agrees."""
    signed = {id_ for row in MintTransaction.objects.all() for id_ in row.reading_ids}
    minted = set(MintResult.objects.filter(success=True).values_list("reading_id", flat=True))
    cancelled = set(
        MintResult.objects.filter(status="cancelled").values_list("reading_id", flat=True)
    )
    assert signed == minted
    assert not minted & cancelled
    assert len(minted) + len(cancelled) == batch.total_readings
    assert chain.supply() == 250_000_000 * len(minted)
    statuses = dict(MeterReading.objects.values_list("id", "status"))
    assert {statuses[id_] for id_ in minted} <= {"minted"}
    assert {statuses[id_] for id_ in cancelled} <= {"pending"}
    batch.refresh_from_db()
    assert batch.is_final


def in_a_thread(job):
    try:
        return job()
    finally:
        connection.close()


def test_cancelled_after_signing_and_before_the_journal_nothing_is_signed(minting_chain):
    batch = queue(3)
    append = journal_file.append

    def cancelled(*args, **options):
        assert cancel_batch(batch.id, by="operator") == 3
        return append(*args, **options)

    with patch.object(journal_file, "append", cancelled):
        look()

    assert not MintTransaction.objects.exists()
    assert_either_or(minting_chain, batch)
    assert batch.status == "cancelled"


def test_cancelled_while_a_wave_is_being_journalled_the_wave_wins(minting_chain):
    """The cancellation waits for the journal's commit, and finds nothing left; no deadlock."""
    batch = queue(3)
    inside, go_on = Event(), Event()
    point = signing._point_results_at

    def paused(*args):
        inside.set()
        assert go_on.wait(10)
        return point(*args)

    with patch.object(signing, "_point_results_at", paused), ThreadPoolExecutor(2) as pool:
        driving = pool.submit(in_a_thread, look)
        assert inside.wait(20)
        cancelling_ = pool.submit(in_a_thread, lambda: cancel_batch(batch.id, by="operator"))
        with pytest.raises(TimeoutError):
            cancelling_.result(1)
        go_on.set()
        assert cancelling_.result(20) == 0
        driving.result(60)

    assert_either_or(minting_chain, batch)
    assert batch.status == "succeeded"


def test_a_wave_that_meets_a_cancellation_waits_and_keeps_nothing(minting_chain):
    """The other way round: the cancellation holds all when the wave comes to the journal."""
    batch = queue(3)
    inside, go_on, signed = Event(), Event(), Event()
    append = journal_file.append

    def paused(*args, **options):
        moved = move_results(*args, **options)
        inside.set()
        assert go_on.wait(10)
        return moved

    def told(*args, **options):
        signed.set()
        assert inside.wait(20)
        return append(*args, **options)

    with (
        patch.object(cancelling, "move_results", paused),
        patch.object(journal_file, "append", told),
        ThreadPoolExecutor(2) as pool,
    ):
        driving = pool.submit(in_a_thread, look)
        assert signed.wait(20)
        cancelling_ = pool.submit(in_a_thread, lambda: cancel_batch(batch.id, by="operator"))
        assert inside.wait(20)
        with pytest.raises(TimeoutError):
            driving.result(1)
        assert not MintTransaction.objects.exists()
        go_on.set()
        assert cancelling_.result(20) == 3
        driving.result(60)

    assert not MintTransaction.objects.exists()
    assert_either_or(minting_chain, batch)


def test_in_the_middle_what_flies_lands_and_the_rest_is_free(minting_chain):
    batch = queue(6)
    send = wave.send

    def cancelled(session, flights):
        cancel_batch(batch.id, by="operator")
        return send(session, flights)

    with patch.object(submit, "IN_FLIGHT", 4), patch.object(wave, "send", cancelled):
        look()

    assert_either_or(minting_chain, batch)
    assert (batch.status, batch.successful_mints) == ("partially_succeeded", 4)


@pytest.mark.parametrize("door", ["api", "command"])
def test_cancelled_at_any_moment_by_any_door(minting_chain, machine, drain, door):
    """Not synchronised at all: whichever comes first, each reading is one or the other."""
    batch = queue(8)

    def by_api():
        url = reverse("api:mint-batch-cancel", kwargs={"batch_id": batch.id})
        return machine(Scope.MINT).post(url).status_code

    def by_command():
        call_command("mint", "--cancel", str(batch.id))

    with patch.object(submit, "IN_FLIGHT", 4):
        together(look, by_api if door == "api" else by_command, look)
        drain()

    assert_either_or(minting_chain, batch)


def test_what_is_free_again_after_a_cancellation_is_not_signed_again(minting_chain):
    """It was on its way when somebody cancelled, and never lands."""
    batch = queue(2)
    minting_chain.net.faults = FaultPlan(seed=1, drop=1.0)
    send = wave.send

    def cancelled(session, flights):
        send(session, flights)
        assert cancel_batch(batch.id, by="operator") == 0
        minting_chain.net.expire_blockhashes()

    def dead(_session, flights):
        """The proof itself is tested elsewhere; it takes the time of 64 slots."""
        minting_chain.net.faults = FaultPlan()
        for flight in flights:
            with transaction.atomic():
                journal.record_expired(Expiry(flight.id, {"verdict": "dead"}))
            flight.status = TransactionStatus.EXPIRED
        return len(flights)

    with patch.object(wave, "send", cancelled), patch.object(submit, "prove_dead", dead):
        look()

    assert set(MintTransaction.objects.values_list("status", flat=True)) == {"expired"}
    assert MintTransaction.objects.count() == 2
    batch.refresh_from_db()
    assert batch.status == "cancelled"
    assert minting_chain.supply() == 0
    told = set(MintResult.objects.values_list("error", flat=True))
    assert told == {"Cancelled by operator before anything was signed"}
