"""What runs by the clock; the rows are made at every start of ``qcluster``."""

from __future__ import annotations

from django.db import transaction
from django_q.models import Schedule

SCHEDULES: dict[str, tuple[str, int]] = {
    "sweep": ("minting.tasks.sweep", 1),
    "retry": ("minting.tasks.retry_due", 1),
    "rejudge": ("readings.tasks.rejudge", 1),
    "reconcile": ("minting.tasks.reconcile", 10),
    "reconcile_all": ("minting.tasks.reconcile_all", 24 * 60),
    "forget_keys": ("minting.tasks.forget_keys", 60),
}
"""Name, dotted path, and minutes between two runs; one is the least that django-q2 knows."""


@transaction.atomic
def synchronise() -> None:
    """Makes the schedules as they are written here; names are ours, so that none is doubled."""
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
