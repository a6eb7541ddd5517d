"""What runs by the clock; the rows are made at every start of ``qcluster``."""

from __future__ import annotations

from datetime import timedelta

import structlog
from django.db import connection, transaction
from django.utils import timezone
from django_q.models import Schedule

log = structlog.get_logger(__name__)

SCHEDULES: dict[str, tuple[str, int]] = {
    "sweep": ("minting.tasks.sweep", 1),
    "tend_signer": ("minting.tasks.tend_signer", 1),
    "retry": ("minting.tasks.retry_due", 1),
    "look_at_chain": ("minting.tasks.look_at_chain", 1),
    "rejudge": ("readings.tasks.rejudge", 1),
    "imports": ("readings.tasks.work_imports", 1),
    "reconcile": ("minting.tasks.reconcile", 10),
    "reconcile_all": ("minting.tasks.reconcile_all", 24 * 60),
    "expire_approvals": ("minting.tasks.expire_approvals", 1),
    "expire_wallet_changes": ("readings.tasks.expire_wallet_changes", 1),
    "forget_keys": ("minting.tasks.forget_keys", 60),
    "forget_selections": ("minting.tasks.forget_selections", 60),
    "deliver": ("minting.tasks.deliver", 1),
    "tidy_webhooks": ("minting.tasks.tidy_webhooks", 60),
    "digest": ("minting.tasks.send_digest", 10),
    "forget_calls": ("minting.tasks.forget_calls", 60),
}
"""Name, dotted path, and minutes between two runs; one is the least that django-q2 knows."""


_ONE_AT_A_TIME = 0x6772_6964_7363_6865
"""For ``pg_advisory_xact_lock``. django-q2 lets a name stand twice: where two clusters start at
once on a new database, each would make all, and afterwards none could start."""


@transaction.atomic
def synchronise() -> None:
    """Makes the schedules as they are written here, each once, whoever else is at it."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_ONE_AT_A_TIME])
    _end_doubles()
    for name, (path, minutes) in SCHEDULES.items():
        Schedule.objects.update_or_create(
            name=name,
            defaults={
                "func": path,
                "schedule_type": Schedule.MINUTES,
                "minutes": minutes,
                "repeats": -1,
            },
        )


def pull_back() -> None:
    """Runs soon what would run only after more than its time.

    django-q2 dates the next run by the clock of whoever began this one: a clock that was ahead and
    is set back leaves all that runs by it asleep for as long.
    """
    now = timezone.now()
    for name, (_, minutes) in SCHEDULES.items():
        far = Schedule.objects.filter(name=name, next_run__gt=now + timedelta(minutes=minutes + 1))
        if far.update(next_run=now):
            log.warning("schedule_pulled_back", name=name)


def _end_doubles() -> None:
    """Of each name the oldest stays."""
    oldest: set[str] = set()
    for schedule in Schedule.objects.filter(name__in=SCHEDULES).order_by("id"):
        if schedule.name in oldest:
            log.warning("schedule_doubled", name=schedule.name)
            schedule.delete()
        oldest.add(schedule.name)
