"""What ``readings`` takes from the settings, read anew each time so that tests may override it."""

from __future__ import annotations

from datetime import timedelta

from django.conf import settings

from readings.rules import Limits


def limits() -> Limits:
    """What the operator allows now."""
    return Limits(
        max_reading_kwh=settings.TOKENIZATION_MAX_READING_KWH,
        max_age=timedelta(days=settings.TOKENIZATION_READING_MAX_AGE_DAYS),
    )
