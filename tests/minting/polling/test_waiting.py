"""What the poller waits for: people who stopped, paused, refused, or have yet to approve."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from threading import Event
from unittest.mock import patch

import pytest
from django.contrib.auth import get_user_model
from django.db import connection, transaction
from django_q.models import OrmQ

from minting import journal
from minting.journal import Identity
from minting.models import BatchSource, MintBatch, Polling, PollingPause
from minting.service.polling import meter_polling_service
from minting.service.polling.meter_polling_service import MeterPollingService, PollReport
from minting.service.polling.switch import pause_polling, resume_polling
from minting.service.requests import approving
from minting.service.requests.cancel import cancel_batch
from minting.service.requests.prepare import request_batch
from minting.service.stopping import resume_minting, stop_minting
from minting.tasks import poll
from readings.errors import ReasonRequired
from readings.models import MeterReading
from tests.factories.village import harvest, village
from tests.minting.conftest import drain, minting_chain
from tests.minting.polling.polls import batches, pending

__all__ = ["drain", "minting_chain"]

pytestmark = pytest.mark.django_db(transaction=True)


def test_it_waits_while_minting_is_stopped_the_gate_is_closed_or_it_is_paused(minting_chain):
    harvest(village(1))
    stop_minting("audit", by="chief")
    assert poll()["halted"] == "minting_stopped"
    resume_minting(by="chief")
    with transaction.atomic():
        journal.close_gate("an unknown mint", Identity())
    assert poll()["halted"] == "gate_closed"
    with transaction.atomic():
        journal.open_gate(Identity())
    with pytest.raises(ReasonRequired):
        pause_polling(" ", by="chief")
    pause = pause_polling("the tariff changes", by="chief")
    assert pause_polling("again", by="another") == pause
    assert poll()["halted"] == "polling_paused"
    assert not MintBatch.objects.exists()
    assert not Polling.objects.exclude(began_at=None).exists(), "a poll that waits is none"

    OrmQ.objects.all().delete()
    resumed = resume_polling(by="boss")
    assert (resumed.resumed_by, resumed.paused_by) == ("boss", "chief")
    assert resume_polling(by="boss") is None
    assert OrmQ.objects.count() == 1, "called at once"
    assert poll()["batches"] == 1


def test_after_a_pause_is_confirmed_no_batch_appears(minting_chain):
    """A batch that is being written is waited for; one that comes later is not made."""
    harvest(village(1))
    begun, go_on = Event(), Event()
    genuine = meter_polling_service._require_undisturbed

    def slowly(batch):
        begun.set()
        assert go_on.wait(30)
        genuine(batch)

    def pause():
        try:
            return pause_polling("now", by="chief")
        finally:
            connection.close()

    def run():
        try:
            return MeterPollingService().poll()
        finally:
            connection.close()

    with (
        patch.object(meter_polling_service, "_require_undisturbed", slowly),
        ThreadPoolExecutor(2) as pool,
    ):
        polling = pool.submit(run)
        assert begun.wait(30)
        pool.submit(pause).result(30)
        assert not MintBatch.objects.exists()
        go_on.set()
        assert polling.result(30) == PollReport(halted="polling_paused")

    assert not MintBatch.objects.exists()
    assert pending() == 1


def test_a_day_s_limit_stops_minting_and_with_it_the_poller(minting_chain, drain, settings):
    settings.MINT_MAX_KWH_PER_DAY = Decimal("0.5")
    harvest(village(3))

    poll()
    drain()
    harvest(village(1))

    assert poll()["halted"] == "minting_stopped"
    assert pending() == 1


# ------------------------------------------------------------------ four eyes


@pytest.fixture
def approver():
    return get_user_model().objects.create_user("approver")


def test_a_batch_of_the_poller_s_may_need_approval_and_one_is_asked_for_at_a_time(
    minting_chain, drain, settings, approver
):
    settings.APPROVAL_ABOVE_KWH = Decimal("0.5")
    harvest(village(3))
    assert poll() == {"batches": 1, "readings": 3, "halted": ""}
    asked = batches().get().approval
    assert (asked.requested_by, asked.why) == (None, "0.75 kWh, above 0.5 kWh")

    harvest(village(2))
    assert poll()["halted"] == "awaiting_approval"
    assert pending() == 2

    approving.approve(asked.id, by=approver, digest=bytes(asked.digest))
    drain()
    assert batches().get().status == "succeeded"
    assert poll() == {"batches": 1, "readings": 2, "halted": ""}


def test_who_refuses_or_cancels_its_batch_pauses_it(minting_chain, settings, approver):
    """It would ask for the same again within the minute."""
    settings.APPROVAL_ABOVE_KWH = Decimal("0.25")
    harvest(village(2))
    poll()
    batch = batches().get()

    approving.refuse(batch.approval.id, by=approver, reason="too early")

    pause = PollingPause.objects.get()
    assert pause.paused_by == "approver"
    assert pause.reason == f"approver did not approve its batch {batch.pk}: too early"
    assert (poll()["halted"], pending()) == ("polling_paused", 2)

    settings.APPROVAL_ABOVE_KWH = None
    resume_polling(by="chief")
    poll()
    assert cancel_batch(batches().last().id, by="operator") == 2
    assert PollingPause.objects.get(resumed_at=None).paused_by == "operator"
    assert (poll()["halted"], pending()) == ("polling_paused", 2)

    resume_polling(by="chief")
    ids = list(MeterReading.objects.values_list("id", flat=True))
    theirs = request_batch(ids, source=BatchSource.ADMIN, strict=True)
    cancel_batch(theirs.id, by="operator")
    assert not PollingPause.objects.filter(resumed_at=None).exists(), "what staff made is theirs"
