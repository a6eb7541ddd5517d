"""What runs by the clock; the rows are made at every start of ``qcluster``."""

from __future__ import annotations

from django_q.models import Schedule

SCHEDULES: dict[str, str] = {
    "sweep": "minting.tasks.sweep",
    "retry": "minting.tasks.retry_due",
    "rejudge": "readings.tasks.rejudge",
}
"""Name and dotted path; all of them every minute, the shortest that django-q2 knows."""


def synchronise() -> None:
    """Makes the schedules as they are written here; names are ours, so that none is doubled."""
    for name, path in SCHEDULES.items():
        Schedule.objects.update_or_create(
            name=name,
            defaults={
                "func": path,
                "schedule_type": Schedule.MINUTES,
                "minutes": 1,
                "repeats": -1,
            },
        )
