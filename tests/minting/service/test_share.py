"""Who takes how much of what waits."""

from __future__ import annotations

from uuid import UUID

import pytest
from django.db import transaction
from django_q.models import OrmQ

from minting import journal
from minting.journal import Claim
from minting.models import MintSlice
from minting.service.drive import share as shares
from minting.service.drive.share import Share
from tests.minting.admin.journal import open_batch

pytestmark = pytest.mark.django_db

LIMIT = 5


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for others to come."""
    monkeypatch.setattr(shares, "GRACE", 0.0)


class Task:
    """Takes, and remembers."""

    def __init__(self, name: str, batch_id: UUID | None = None) -> None:
        self.share = Share(worker=name, limit=LIMIT, batch_id=batch_id)
        self.held: list[Claim] = []

    def take(self) -> int:
        more = self.share.take(self.held)
        self.held += more
        return len(more)

    def finish(self, count: int) -> None:
        ids = [claim.slice_id for claim in self.held[:count]]
        MintSlice.objects.filter(id__in=ids).update(status="done", claim=None)


def test_a_lone_task_takes_all_it_may_hold_step_by_step_and_then_what_comes_free():
    for _ in range(12):
        open_batch()
    alone = Task("alone")
    assert [alone.take() for _ in range(5)] == [1, 1, 2, 1, 0]
    alone.finish(3)
    assert [alone.take() for _ in range(2)] == [3, 0]


def test_tasks_of_equal_age_get_equal_parts():
    for _ in range(8):
        open_batch()
    tasks = [Task(name) for name in "abcd"]
    while sum(task.take() for task in tasks):
        pass
    assert [len(task.held) for task in tasks] == [2, 2, 2, 2]


def test_who_leaves_something_calls_one_more_and_not_twice():
    for _ in range(3):
        open_batch()
    first, second = Task("first"), Task("second")
    first.take()
    assert OrmQ.objects.count() == 1
    second.take()
    assert OrmQ.objects.count() == 1  # the one who was called has not come yet
    OrmQ.objects.all().delete()
    first.take()
    assert not OrmQ.objects.exists()  # nothing is left


def test_others_are_left_the_time_to_come(monkeypatch):
    monkeypatch.setattr(shares, "GRACE", 60.0)
    for _ in range(3):
        open_batch()
    task = Task("early")
    assert [task.take(), task.take()] == [1, 0]


def test_a_task_that_is_old_takes_no_more(monkeypatch):
    monkeypatch.setattr(shares, "TAKES_FOR", -1.0)
    for _ in range(3):
        open_batch()
    task = Task("old")
    assert [task.take(), task.take()] == [1, 0]


def test_what_a_worker_died_of_is_taken_alone_from_both_sides():
    for _ in range(3):
        open_batch()
    deadly = MintSlice.objects.order_by("batch_id")[1]
    MintSlice.objects.filter(id=deadly.id).update(deaths=1)
    careful = Task("careful")
    assert [careful.take() for _ in range(3)] == [1, 1, 0]
    assert deadly.id not in {claim.slice_id for claim in careful.held}
    brave = Task("brave")
    open_batch()
    assert [brave.take() for _ in range(3)] == [1, 0, 0]
    assert [claim.slice_id for claim in brave.held] == [deadly.id]


def test_who_waits_for_a_batch_of_his_own_takes_it_at_once():
    batch = open_batch()
    open_batch()
    for number in range(1, 4):
        MintSlice.objects.create(batch=batch, number=number)
    own = Task("own", batch_id=batch.id)
    assert [own.take(), own.take()] == [4, 0]
    assert not OrmQ.objects.exists()


def test_nothing_waits_for_a_task_while_minting_is_stopped():
    for _ in range(2):
        open_batch()
    task = Task("late")
    task.take()
    OrmQ.objects.all().delete()
    with transaction.atomic():
        journal.stop_minting(reason="a look at the books", by="auditor")
    task.take()
    assert not OrmQ.objects.exists()
