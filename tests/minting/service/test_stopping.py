"""Stop minting: nothing new is signed anywhere, recovery goes on; a day's limit trips it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal
from itertools import count
from threading import Event
from unittest.mock import patch
from uuid import UUID

import pytest
from django.db import connection, transaction
from django.db.models import F
from django.utils import timezone
from django_q.models import OrmQ

from minting import journal
from minting.engine import packing
from minting.engine.errors import MintingStopped
from minting.engine.types import MintBatchData
from minting.journal import signing
from minting.models import (
    BatchSource,
    MintBatch,
    MintingStop,
    MintResult,
    MintSlice,
    MintTransaction,
)
from minting.models.fields import first_id_since
from minting.service.blockchain_service import BlockchainService
from minting.service.chain.session import open_session
from minting.service.drive import journal_file, submit, tracking, wave
from minting.service.drive.recover import recover
from minting.service.requests.prepare import request_batch
from minting.service.stopping import resume_minting, stop_minting
from minting.tasks import look, sweep
from readings.errors import ReasonRequired
from readings.models import MeterReading
from tests.factories.readings import MeterReadingFactory, household
from tests.minting.service.test_races import together

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def small_transactions(monkeypatch):
    """One wallet a transaction, so that few readings make a wave of several."""
    monkeypatch.setattr(packing, "GROUPS_A_TRANSACTION", 1)


KWH = 250_000_000
"""Base units of a factory's reading: 0.25 kWh."""


def queue(number: int) -> MintBatch:
    ids = [MeterReadingFactory().id for _ in range(number)]
    return request_batch(ids, source=BatchSource.CLI, strict=True)


def assert_waiting(batch: MintBatch) -> None:
    """Queued and unharmed: nothing failed, nobody holds it, nobody is called again and again."""
    assert not MintTransaction.objects.filter(batch=batch).exists()
    assert set(batch.results.values_list("status", flat=True)) == {"pending"}
    assert set(batch.slices.values_list("status", flat=True)) == {"queued"}


def test_while_stopped_batches_queue_and_wait(minting_chain, drain):
    stop = stop_minting("audit", by="operator")
    batch = queue(3)
    OrmQ.objects.all().delete()

    for _ in range(3):
        assert look() == {"slices": 0, "signed": 0, "landed": 0, "handed_back": 0}
        assert sweep()["nudged"] is False

    assert_waiting(batch)
    assert set(MintSlice.objects.values_list("starts", flat=True)) == {0}
    assert not OrmQ.objects.exists()

    resumed = resume_minting(by="chief")

    assert resumed == stop
    assert (resumed.resumed_by, resumed.resumed_at is None) == ("chief", False)
    assert OrmQ.objects.count() == 1
    drain()
    batch.refresh_from_db()
    assert batch.status == "succeeded"
    assert minting_chain.supply() == 3 * KWH


def test_stopping_twice_is_one_stop_and_resuming_twice_is_quiet(db):
    first = stop_minting("audit", by="operator")
    assert stop_minting("another reason", by="chief") == first
    assert MintingStop.objects.get().reason == "audit"
    assert resume_minting(by="chief") == first
    assert resume_minting(by="chief") is None
    assert stop_minting("again", by="operator") != first


def test_a_stop_has_a_reason(db):
    with pytest.raises(ReasonRequired):
        stop_minting("  ", by="operator")
    assert not MintingStop.objects.exists()


def test_a_hundred_stops_at_once_are_one(db):
    stops = together(*[lambda: stop_minting("audit", by="operator") for _ in range(4)])
    assert len({stop.id for stop in stops}) == 1


def test_stopped_between_signing_and_the_journal_nothing_is_signed(minting_chain, drain):
    """Signed in memory, and forgotten: the journal has the last word."""
    batch = queue(4)
    append = journal_file.append

    def stopped(*args, **options):
        stop_minting("audit", by="operator")
        return append(*args, **options)

    with patch.object(journal_file, "append", stopped):
        look()

    assert_waiting(batch)
    assert minting_chain.supply() == 0
    resume_minting(by="operator")
    drain()
    assert minting_chain.supply() == 4 * KWH
    assert MintTransaction.objects.count() == 4


def test_in_the_middle_of_a_batch_what_flies_lands_and_the_rest_waits(minting_chain, drain):
    """Two waves: minting is stopped after the first was journalled and before it was sent."""
    batch = queue(6)
    send = wave.send

    def stopped(session, flights):
        stop_minting("audit", by="operator")
        return send(session, flights)

    with patch.object(submit, "IN_FLIGHT", 4), patch.object(wave, "send", stopped):
        look()

    assert MintTransaction.objects.count() == 4
    assert batch.results.filter(success=True).count() == 4
    assert batch.results.filter(status="pending", transaction=None).count() == 2
    assert set(batch.slices.values_list("status", flat=True)) == {"queued"}

    resume_minting(by="operator")
    drain()
    batch.refresh_from_db()
    assert (batch.status, batch.successful_mints) == ("succeeded", 6)
    assert minting_chain.supply() == 6 * KWH
    assert MintTransaction.objects.count() == 6


def test_recovery_goes_on_while_stopped(minting_chain):
    """Journalled, never sent, its worker dead; then minting is stopped: the bytes still go out."""

    class KilledError(BaseException):
        pass

    batch = queue(2)
    with (
        patch("minting.service.drive.wave.send", side_effect=KilledError),
        pytest.raises(KilledError),
    ):
        look()
    stop_minting("audit", by="operator")
    assert set(MintTransaction.objects.values_list("status", flat=True)) == {"signed"}

    with open_session() as session:
        recover(session)
        minting_chain.net.wait_slots(6)
        recover(session)

    batch.refresh_from_db()
    assert (batch.status, batch.successful_mints) == ("succeeded", 2)
    assert minting_chain.supply() == 2 * KWH


def test_a_stop_waits_for_a_wave_that_is_being_journalled_and_none_follows(minting_chain, drain):
    """The lock: once ``stop_minting`` has returned, no transaction's row appears any more."""
    queue(1)
    inside, go_on = Event(), Event()
    point = signing._point_results_at

    def paused(*args):
        inside.set()
        assert go_on.wait(10)
        return point(*args)

    def in_a_thread(job):
        try:
            return job()
        finally:
            connection.close()

    with patch.object(signing, "_point_results_at", paused), ThreadPoolExecutor(2) as pool:
        driving = pool.submit(in_a_thread, look)
        assert inside.wait(20)
        stopping = pool.submit(in_a_thread, lambda: stop_minting("audit", by="operator"))
        with pytest.raises(TimeoutError):
            stopping.result(1)
        assert not MintTransaction.objects.exists()
        go_on.set()
        stopping.result(20)
        assert MintTransaction.objects.count() == 1
        driving.result(60)

    queue(1)
    look()
    assert MintTransaction.objects.count() == 1


def test_the_service_says_that_minting_is_stopped(minting_chain):
    resident = household()
    reading = resident.reading()
    stop_minting("audit", by="operator")
    data = MintBatchData(
        reading_id=reading.id,
        user_id=resident.owner.user_id,
        wallet_address=resident.wallet.address,
        kwh_amount=reading.kwh_amount,
        tokens_to_mint=KWH,
    )

    with pytest.raises(MintingStopped, match="audit"):
        BlockchainService().mint_energy_tokens_batch(minting_chain.authority, [data])

    assert not MintBatch.objects.exists()


# ------------------------------------------------------------------ the day's limit


def test_a_day_may_be_used_up_to_the_last_watt_hour(minting_chain, drain, settings):
    settings.MINT_MAX_KWH_PER_DAY = Decimal(1)
    queue(3)
    drain()
    queue(1)
    drain()

    assert minting_chain.supply() == 4 * KWH
    assert not MintingStop.objects.exists()


@pytest.mark.parametrize("ahead", [timedelta(days=1), -timedelta(days=1)])
def test_a_worker_whose_clock_is_wrong_begins_no_day(minting_chain, drain, settings, ahead):
    """Neither its ids nor its midnight count: the day is the database's."""
    settings.MINT_MAX_KWH_PER_DAY = Decimal(1)
    ids = count(first_id_since(timezone.now() + ahead).int)
    with patch("minting.journal.signing.uuid7", lambda: UUID(int=next(ids))):
        queue(3)
        drain()
    queue(2)
    drain()

    assert MintingStop.objects.get().stopped_by == "MINT_MAX_KWH_PER_DAY"
    assert minting_chain.supply() == 3 * KWH


def test_one_nanowatt_hour_beyond_stops_minting_until_a_person_resumes(
    minting_chain, drain, settings
):
    settings.MINT_MAX_KWH_PER_DAY = Decimal(1)
    queue(4)
    drain()
    reading = household().reading(kwh_amount=Decimal("0.000000001"))
    batch = request_batch([reading.id], source=BatchSource.CLI, strict=True)

    look()

    stop = MintingStop.objects.get()
    assert stop.stopped_by == "MINT_MAX_KWH_PER_DAY"
    assert stop.reason == "1.000000001 kWh would be signed for today (UTC), and 1 kWh are allowed"
    assert_waiting(batch)
    assert look()["slices"] == 0
    assert minting_chain.supply() == 4 * KWH

    resume_minting(by="chief")
    drain()
    assert minting_chain.supply() == 4 * KWH + 1
    batch.refresh_from_db()
    assert batch.status == "succeeded"


def test_each_resuming_allows_as_much_again(minting_chain, drain, settings):
    settings.MINT_MAX_KWH_PER_DAY = Decimal("0.5")
    batch = queue(5)

    look()
    assert MintingStop.objects.count() == 1
    resume_minting(by="chief")
    look()
    assert MintingStop.objects.count() == 2, "1.25 kWh are more than twice the limit"
    assert_waiting(batch)
    resume_minting(by="chief")
    drain()

    assert minting_chain.supply() == 5 * KWH
    assert MintingStop.objects.filter(resumed_at=None).count() == 0


def test_yesterday_does_not_count(minting_chain, drain, settings):
    settings.MINT_MAX_KWH_PER_DAY = Decimal(1)
    queue(4)
    drain()
    MintTransaction.objects.update(signed_at=F("signed_at") - timedelta(days=1))

    queue(4)
    drain()

    assert minting_chain.supply() == 8 * KWH
    assert not MintingStop.objects.exists()


def test_what_is_proven_dead_does_not_count(minting_chain, drain, settings):
    settings.MINT_MAX_KWH_PER_DAY = Decimal(1)
    queue(4)
    with (
        patch.object(wave, "send"),
        # Nor again: what is on the wire must not be called dead, or the gate closes, rightly.
        patch.object(tracking, "resend"),
        patch.object(submit, "STINT", 1.0),
        patch.object(submit, "OVERTIME", 0.0),
    ):
        look()
    rows = list(MintTransaction.objects.all())
    assert len(rows) == 4
    with transaction.atomic():
        for row in rows:
            journal.record_expired(journal.Expiry(row.id, {"why": "the test says so"}))

    drain()

    assert MintResult.objects.filter(success=True).count() == 4
    assert MeterReading.objects.filter(status="minted").count() == 4
    assert not MintingStop.objects.exists()


def test_two_workers_at_once_never_pass_it_together(minting_chain, settings):
    settings.MINT_MAX_KWH_PER_DAY = Decimal(1)
    settings.BLOCKCHAIN_CONCURRENT_BATCHES = 1
    queue(3)
    queue(3)

    together(look, look)

    assert minting_chain.supply() == 3 * KWH
    assert MintingStop.objects.get().stopped_by == "MINT_MAX_KWH_PER_DAY"
