"""Schedules: one of each, however many clusters start at once."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone
from django_q.models import Schedule

from minting import schedules
from minting.schedules import SCHEDULES, pull_back, synchronise
from tests.minting.service.test_races import together

pytestmark = pytest.mark.django_db(transaction=True)


def names() -> list[str]:
    return sorted(Schedule.objects.values_list("name", flat=True))


def test_clusters_that_start_at_once_make_each_schedule_once():
    for _ in range(3):
        Schedule.objects.all().delete()
        together(*[synchronise] * 6)
        assert names() == sorted(SCHEDULES)


def test_what_is_doubled_is_single_after_the_next_start():
    synchronise()
    kept = Schedule.objects.get(name="sweep").id
    Schedule.objects.create(name="sweep", func="minting.tasks.sweep")

    synchronise()

    assert names() == sorted(SCHEDULES)
    assert Schedule.objects.get(name="sweep").id == kept


def test_a_schedule_is_put_right_and_others_are_left_alone():
    Schedule.objects.create(name="theirs", func="math.sqrt")
    Schedule.objects.create(name="sweep", func="math.floor", minutes=7)

    synchronise()

    sweep = Schedule.objects.get(name="sweep")
    assert (sweep.func, sweep.minutes, sweep.repeats) == (*schedules.SCHEDULES["sweep"], -1)
    assert Schedule.objects.filter(name="theirs").exists()


def test_what_a_clock_that_was_ahead_has_dated_is_pulled_back():
    synchronise()
    now = timezone.now()
    Schedule.objects.filter(name="sweep").update(next_run=now + timedelta(days=1))
    daily = now + timedelta(hours=23)
    Schedule.objects.filter(name="reconcile_all").update(next_run=daily)

    pull_back()

    assert Schedule.objects.get(name="sweep").next_run <= timezone.now()
    assert Schedule.objects.get(name="reconcile_all").next_run == daily, "its own time"
