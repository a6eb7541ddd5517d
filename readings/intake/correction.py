"""Corrections: a new revision of a reading, never a change of the old."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID

from django.db import transaction
from django.db.models import Case, F, Value, When
from django.utils import timezone

from readings.candidate import parse_values
from readings.conf import limits
from readings.errors import InvalidReading, ReadingError, ReadingInFlight, UnknownReading
from readings.intake.context import any_of
from readings.intake.histories import Found, History, load_histories
from readings.intake.storing import store
from readings.models import MeterReading
from readings.periods import Timeline, Told, Values
from readings.rules import (
    Facts,
    Judgement,
    Limits,
    PeriodKind,
    ReadingCode,
    ReadingSource,
    ReadingStatus,
    Verification,
    judge,
)

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser


@dataclass(frozen=True, slots=True)
class Retelling:
    """What somebody says of a reading that was told before."""

    reading_id: UUID
    """Any revision of it."""
    kwh_amount: object
    """The exported energy, as in ``Submission``."""
    energy_generated: object = None
    energy_consumed: object = None
    """Energies that are not given stay what they were."""
    verification: Verification = Verification.VERIFIED
    """Who vouches for it."""


@dataclass(frozen=True, slots=True)
class Correction:
    """The current revision after a correction."""

    reading: MeterReading
    created: bool
    """False when the current revision says the same already."""


def correct(
    *,
    reading_id: UUID,
    kwh_amount: object,
    energy_generated: object = None,
    energy_consumed: object = None,
    reason: str = "",
    source: ReadingSource = ReadingSource.API,
    submitted_by: AbstractBaseUser | None = None,
) -> Correction:
    """Tells one reading anew; see ``correct_many``.

    Raises:
        UnknownReading: There is no such reading.
        InvalidReading: Not an energy.
        ReadingInFlight: It is being minted.
    """
    told = Retelling(reading_id, kwh_amount, energy_generated, energy_consumed)
    (outcome,) = correct_many([told], reason=reason, source=source, submitted_by=submitted_by)
    if isinstance(outcome, ReadingError):
        raise outcome
    return outcome


def correct_many(
    told: Sequence[Retelling],
    *,
    reason: str,
    source: ReadingSource,
    submitted_by: AbstractBaseUser | None = None,
    import_file_id: UUID | None = None,
) -> list[Correction | ReadingError]:
    """Tells readings anew. Not minted yet, it replaces; minted, the difference is recorded.

    Nothing is ever minted or clawed back for a difference. A release does not carry over: it was
    given for other values. One transaction with a constant number of queries; one that cannot be
    fails no other.

    Args:
        told: One after another: a second one of the same reading follows the first.
        reason: Why; kept with the revisions.
        source: Which way they came in.
        submitted_by: Who sent them.
        import_file_id: The file that tells them.

    Returns:
        For each, in the order given, what is current now, or why it cannot be.
    """
    values = [_parsed(each) for each in told]
    with transaction.atomic():
        correcting = _Correcting(
            found=load_histories({each.reading_id for each in told}),
            common={
                "correction_reason": reason.strip(),
                "source": source.value,
                "submitted_by_id": submitted_by.pk if submitted_by else None,
                "import_file_id": import_file_id,
                "submitted_at": timezone.now(),
            },
            limits=limits(),
        )
        outcomes = [
            each if isinstance(each, ReadingError) else correcting.take(one, each)
            for one, each in zip(told, values, strict=True)
        ]
        correcting.write()
    return outcomes


def _parsed(told: Retelling) -> Values | InvalidReading:
    try:
        return parse_values(told.kwh_amount, told.energy_generated, told.energy_consumed)
    except InvalidReading as error:
        return error


@dataclass(slots=True)
class _Correcting:
    found: Found
    common: dict[str, str | int | UUID | datetime | None]
    """What is alike in all revisions that are made."""
    limits: Limits
    new: list[MeterReading] = field(default_factory=list)
    superseded: list[UUID] = field(default_factory=list)

    def take(self, told: Retelling, values: Values) -> Correction | ReadingError:
        """Works out one of them; the next one sees what it did."""
        history = self.found.histories.get(told.reading_id)
        if history is None:
            return UnknownReading(told.reading_id)
        if history.in_flight is not None:
            return ReadingInFlight(history.in_flight.id)
        current = history.current
        values = _told_now(current, values)
        if values == _values(current) and not _outdated(history):
            return Correction(reading=current, created=False)
        reading = self._next_revision(current, values, told.verification)
        self._judge(reading, history)
        if not current._state.adding:
            self.superseded.append(current.id)
        _supersede(current)
        history.revisions.append(reading)
        self.new.append(reading)
        return Correction(reading=reading, created=True)

    def write(self) -> None:
        """Stores it: what is replaced first, since one revision of a reading is current."""
        was_minted = When(status=ReadingStatus.MINTED.value, then=F("status"))
        kept_code = When(status=ReadingStatus.MINTED.value, then=F("code"))
        MeterReading.objects.filter(id__in=any_of(self.superseded, "uuid")).update(
            is_current=False,
            status=Case(was_minted, default=Value(ReadingStatus.NOT_MINTED.value)),
            code=Case(kept_code, default=Value(ReadingCode.SUPERSEDED.value)),
        )
        store(self.new)

    def _next_revision(
        self, current: MeterReading, values: Values, verification: Verification
    ) -> MeterReading:
        kwh, generated, consumed = values
        return MeterReading(
            meter=current.meter,
            owner_id=current.owner_id,
            kwh_amount=kwh,
            energy_generated=generated,
            energy_consumed=consumed,
            period_start=current.period_start,
            period_end=current.period_end,
            period_kind=current.period_kind,
            revision=current.revision + 1,
            external_id=current.external_id,
            verification=verification.value,
            **self.common,
        )

    def _judge(self, reading: MeterReading, history: History) -> None:
        """Sets status and code of a new revision, and the difference if one was minted."""
        if history.minted is not None:
            reading.correction_difference = reading.kwh_amount - history.minted.kwh_amount
            judgement = Judgement(ReadingStatus.NOT_MINTED, ReadingCode.CORRECTED_AFTER_MINTING)
        else:
            judgement = self._judged(reading, history.first)
        reading.status = judgement.status.value
        reading.code = judgement.code.value if judgement.code else ""

    def _judged(self, reading: MeterReading, first: MeterReading) -> Judgement:
        """By the rules, beside what the meter told besides; later ones see it there."""
        own = (reading.period_start, reading.period_end)
        is_interval = reading.period_kind == PeriodKind.INTERVAL
        timeline = self.found.timelines[reading.meter_id] if is_interval else Timeline()
        timeline.forget(own)
        facts = Facts(
            kwh=reading.kwh_amount,
            # A period that was told in time is not late because it is corrected.
            age=max(first.submitted_at - first.period_end, timedelta(0)),
            verification=Verification(reading.verification),
            overlaps=is_interval and timeline.overlaps(*own),
            has_wallet=reading.owner_id in self.found.payable,
        )
        judgement = judge(facts, self.limits)
        timeline.add(
            Told(
                reading_id=reading.id,
                kind=PeriodKind(reading.period_kind),
                start=reading.period_start,
                end=reading.period_end,
                values=_values(reading),
                is_current=True,
                gives_way=judgement.code is ReadingCode.OVERLAPPING_PERIOD,
            )
        )
        return judgement


def _values(reading: MeterReading) -> Values:
    return (reading.kwh_amount, reading.energy_generated, reading.energy_consumed)


def _told_now(current: MeterReading, values: Values) -> Values:
    kwh, generated, consumed = values
    return (
        kwh,
        current.energy_generated if generated is None else generated,
        current.energy_consumed if consumed is None else consumed,
    )


def _outdated(history: History) -> bool:
    """Whether the current revision only records a difference to a minting that never became final.

    A fork can take back what was confirmed. Telling the same again then replaces, so that nothing
    is withheld.
    """
    records = history.current.code == ReadingCode.CORRECTED_AFTER_MINTING
    return records and history.minted is None


def _supersede(current: MeterReading) -> None:
    """As ``_Correcting.write`` stores it."""
    current.is_current = False
    if current.status != ReadingStatus.MINTED:
        current.status = ReadingStatus.NOT_MINTED.value
        current.code = ReadingCode.SUPERSEDED.value
