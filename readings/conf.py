"""What ``readings`` takes from the settings, read anew each time so that tests may override it."""

from __future__ import annotations

from datetime import timedelta

from django.conf import settings

from readings.rules import Limits
from readings.second_person import SecondPerson


def limits() -> Limits:
    """What the operator allows now."""
    return Limits(
        max_reading_kwh=settings.TOKENIZATION_MAX_READING_KWH,
        max_age=timedelta(days=settings.TOKENIZATION_READING_MAX_AGE_DAYS),
    )


def second_person() -> SecondPerson:
    """Whether a changed wallet waits for a second person: whenever costly batches do."""
    limits = (settings.APPROVAL_ABOVE_KWH, settings.APPROVAL_ABOVE_LAMPORTS)
    return SecondPerson(
        is_on=any(each is not None for each in limits),
        expires_after=timedelta(hours=settings.APPROVAL_EXPIRES_HOURS),
    )
