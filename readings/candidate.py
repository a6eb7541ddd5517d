"""From what a client sent to what may become a reading. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from readings import rules
from readings.errors import InvalidReading
from readings.periods import Identity, Values
from readings.rules import PeriodKind, Verification

LONGEST_SERIAL = 100
LONGEST_EXTERNAL_ID = 200
LONGEST_SIGNATURE = 10_000
LONGEST_INTERVAL = 86_400
"""Seconds: a day, as the meter's own interval may be at most."""


@dataclass(frozen=True, slots=True)
class Submission:
    """One reading as a door, a file or a person tells it.

    Numbers and times are taken as they came (``Decimal``, ``int`` or text; ``datetime`` or ISO
    8601 text with an offset): what they are is judged here, alike for every door.
    """

    meter_serial: str
    kwh_amount: object
    """Exported energy; see ``rules.exported_kwh`` for bodies that name it differently."""
    period_end: object
    period_start: object = None
    """Absent when the period is told by one timestamp, its end."""
    interval_seconds: object = None
    """How long such a period is at most; absent: the meter's interval."""
    energy_generated: object = None
    energy_consumed: object = None
    meter_signature: str = ""
    external_id: str = ""
    verification: Verification = Verification.VERIFIED


@dataclass(frozen=True, slots=True)
class Candidate:
    """A submission whose every value is sound by itself."""

    meter_serial: str
    values: Values
    start: datetime | None
    end: datetime
    interval: timedelta | None
    meter_signature: str
    external_id: str
    verification: Verification

    @property
    def kind(self) -> PeriodKind:
        """How the period was told."""
        return PeriodKind.TIMESTAMP if self.start is None else PeriodKind.INTERVAL

    @property
    def identity(self) -> Identity:
        """What makes another reading of the meter the same."""
        return (self.start, self.end)


def examine(submission: Submission, *, now: datetime) -> Candidate:
    """Checks all that can be checked without knowing the meter.

    Raises:
        InvalidReading: It cannot be a reading.
    """
    start = (
        None
        if submission.period_start is None
        else rules.parse_instant(submission.period_start, name="period_start")
    )
    end = rules.parse_instant(submission.period_end, name="period_end")
    rules.check_period(start=start, end=end, now=now)
    return Candidate(
        meter_serial=_text(submission.meter_serial, "meter_serial", LONGEST_SERIAL),
        values=parse_values(
            submission.kwh_amount, submission.energy_generated, submission.energy_consumed
        ),
        start=start,
        end=end,
        interval=_interval(submission.interval_seconds),
        meter_signature=_text(submission.meter_signature, "meter_signature", LONGEST_SIGNATURE),
        external_id=_text(submission.external_id, "external_id", LONGEST_EXTERNAL_ID),
        verification=submission.verification,
    )


def parse_values(exported: object, generated: object, consumed: object) -> Values:
    """The three energies, of which only the first must be there.

    Raises:
        InvalidReading: One of them is no energy.
    """
    return (
        rules.parse_kwh(exported),
        None if generated is None else rules.parse_kwh(generated, name="energy_generated"),
        None if consumed is None else rules.parse_kwh(consumed, name="energy_consumed"),
    )


def _interval(seconds: object) -> timedelta | None:
    if seconds is None:
        return None
    if isinstance(seconds, Decimal) and seconds.is_finite() and 1 <= seconds <= LONGEST_INTERVAL:
        # As JSON writes it, 900.0 is a whole number, too. Only within these limits is it made one:
        # the digits of -1e999999 take minutes.
        seconds = int(seconds) if seconds == int(seconds) else seconds
    if (
        not isinstance(seconds, int)
        or isinstance(seconds, bool)
        or not 1 <= seconds <= LONGEST_INTERVAL
    ):
        raise InvalidReading(f"interval_seconds is no whole number from 1 to {LONGEST_INTERVAL}")
    return timedelta(seconds=seconds)


def _text(value: object, name: str, longest: int) -> str:
    if not isinstance(value, str):
        raise InvalidReading(f"{name} is not text")
    text = value.strip()
    if len(text) > longest:
        raise InvalidReading(f"{name} is longer than {longest} characters")
    # PostgreSQL stores neither a NUL nor half of a surrogate pair.
    if "\x00" in text or any("\ud800" <= letter <= "\udfff" for letter in text):
        raise InvalidReading(f"{name} holds characters that are no text")
    return text
