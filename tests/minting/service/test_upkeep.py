"""Work that nobody drives is called for once, and a queue that nobody serves is noticed."""

from __future__ import annotations

import os
from datetime import timedelta

import pytest
from django.db import transaction
from django.utils import timezone
from django_q.models import OrmQ

from minting import journal
from minting.journal import Identity
from minting.models import MintSlice
from minting.service.drive import upkeep
from minting.service.drive.upkeep import Fallen, worker_name
from tests.minting.admin.journal import open_batch

pytestmark = pytest.mark.django_db


def test_what_waits_unattended_is_called_for_once():
    assert not upkeep.call_if_unattended()
    open_batch()
    assert upkeep.call_if_unattended()
    assert not upkeep.call_if_unattended()  # there is a task that says "look" already
    assert OrmQ.objects.count() == 1


def test_nobody_is_called_while_nothing_may_be_signed():
    """Neither behind a closed gate nor while minting is stopped; afterwards at once."""
    open_batch()
    with transaction.atomic():
        journal.close_gate("the chain knows more", Identity())
    assert not upkeep.call_if_unattended()
    with transaction.atomic():
        journal.open_gate(Identity())
        journal.stop_minting(reason="meters are being read again", by="operator")
    assert not upkeep.call_if_unattended()
    assert not OrmQ.objects.exists()
    with transaction.atomic():
        journal.resume_minting(by="operator")
    assert upkeep.call_if_unattended()
    assert OrmQ.objects.count() == 1


def test_a_task_that_lies_is_noticed():
    queue = upkeep.QueueWatch()
    open_batch()
    upkeep.call_if_unattended()
    assert not queue.untaken(timedelta(seconds=20))
    OrmQ.objects.update(lock=timezone.now() - timedelta(seconds=21))
    assert queue.untaken(timedelta(seconds=20))
    OrmQ.objects.update(key="another cluster's")
    assert not queue.untaken(timedelta(seconds=20))


def test_only_the_fallen_count():
    for pid in (7, 8):
        open_batch()
        with transaction.atomic():
            journal.claim_slices(worker=worker_name(pid), limit=5)
    assert upkeep.release_the_dead([7, 8, os.getpid()], Fallen(8, "was ended by SIGSEGV")) == 2
    assert sorted(MintSlice.objects.values_list("deaths", flat=True)) == [0, 1]
