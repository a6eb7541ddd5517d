"""One poll at a time, and whoever else takes readings meanwhile."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Event
from unittest.mock import patch

import pytest
from django.db import connection

from minting import journal
from minting.models import BatchSource, MintBatch, MintResult, Polling
from minting.service.polling import meter_polling_service, solitude
from minting.service.polling.meter_polling_service import MeterPollingService
from minting.service.requests.prepare import request_batch
from minting.service.requests.selections import freeze, picked
from minting.tasks import poll
from readings import queries
from readings.models import MeterReading
from tests.factories.village import harvest, village
from tests.minting.conftest import minting_chain
from tests.minting.polling.polls import batches, pending
from tests.minting.service.test_races import together

__all__ = ["minting_chain"]

pytestmark = pytest.mark.django_db(transaction=True)


def test_of_two_polls_at_once_one_works(minting_chain):
    harvest(village(20), each=5)

    answers = together(*[MeterPollingService().poll] * 4)

    assert sum(each.readings for each in answers) == 100
    assert {each.halted for each in answers} <= {"", "another_poll"}
    assert sum(each.total_readings for each in batches()) == 100
    assert not batches().exclude(excluded=[]).exists()


def test_what_staff_takes_meanwhile_is_theirs(minting_chain):
    """Planned by the poller, and taken by a person before it is written."""
    one, two = village(2)
    theirs = harvest([one], each=3)
    harvest([two], each=3)
    find = request_batch

    def late(ids, **options):
        selection = freeze(MeterReading.objects.filter(owner=one.owner), None)
        request_batch(
            picked(selection), source=BatchSource.ADMIN, strict=False, selection=selection
        )
        return find(ids, **options)

    with patch.object(meter_polling_service, "request_batch", late):
        assert poll() == {"batches": 1, "readings": 3, "halted": ""}

    staff = MintBatch.objects.get(source="admin")
    assert set(staff.results.values_list("reading", flat=True)) == {each.id for each in theirs}
    assert {each["code"] for each in batches().get().excluded} == {"being_minted"}
    assert Polling.objects.get().left_out == {}


def test_a_reading_is_in_one_batch_whoever_races(minting_chain):
    harvest(village(30), each=4)

    def select():
        selection = freeze(queries.pending(), None)
        return request_batch(
            picked(selection), source=BatchSource.ADMIN, strict=False, selection=selection
        )

    together(MeterPollingService().poll, select, MeterPollingService().poll, select)

    taken = MintResult.objects.values_list("reading", flat=True)
    assert len(taken) == len(set(taken)) == 120


def test_a_poll_that_lost_its_lock_makes_no_batch(minting_chain):
    """Its connection broke and another poller began: what it planned is not written."""
    harvest(village(1))
    let_go, release = Event(), Event()

    def other():
        try:
            with solitude.alone() as held:
                let_go.set()
                assert release.wait(30)
                return held
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:

        def lose(*_, **__):
            if not let_go.is_set():
                solitude._let_go()
                future.append(pool.submit(other))
                assert let_go.wait(30)

        future: list = []
        genuine = journal.hold_waiting
        with patch.object(journal, "hold_waiting", lambda ids: (lose(), genuine(ids))[1]):
            answer = poll()
        release.set()
        assert future[0].result() is True

    assert answer == {"batches": 0, "readings": 0, "halted": "another_poll"}
    assert not MintBatch.objects.exists()
    assert pending() == 1
