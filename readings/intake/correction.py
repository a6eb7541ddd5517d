"""Corrections: a new revision of a reading, never a change of the old."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from readings.candidate import parse_values
from readings.conf import limits
from readings.errors import ReadingInFlight, UnknownReading
from readings.intake.context import load_timelines
from readings.models import Meter, MeterReading, MeterReadingQuerySet, Owner, Wallet
from readings.periods import Values
from readings.rules import (
    IN_FLIGHT,
    Facts,
    Judgement,
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
    verification: Verification = Verification.VERIFIED,
    submitted_by: AbstractBaseUser | None = None,
    import_file_id: UUID | None = None,
) -> Correction:
    """Tells a reading anew. Not minted yet, it replaces; minted, the difference is recorded.

    Nothing is ever minted or clawed back for a difference. Energies that are not given stay what
    they were. A release does not carry over: it was given for other values.

    Args:
        reading_id: Any revision of the reading.
        kwh_amount: The exported energy, as in ``Submission``.
        energy_generated: Likewise.
        energy_consumed: Likewise.
        reason: Why; kept with the revision.
        source: Which way the correction came in.
        verification: Who vouches for it.
        submitted_by: Who sent it.
        import_file_id: The file that tells it.

    Raises:
        UnknownReading: There is no such reading.
        InvalidReading: Not an energy.
        ReadingInFlight: It is being minted.
    """
    values = parse_values(kwh_amount, energy_generated, energy_consumed)
    with transaction.atomic():
        revisions = _lock_revisions(reading_id)
        current = next(one for one in revisions if one.is_current)
        minted = next((one for one in revisions if one.status == ReadingStatus.MINTED), None)
        told = _told_now(current, values)
        if told == _values(current) and not _outdated(current, minted):
            return Correction(reading=current, created=False)
        reading = _next_revision(current, told)
        reading.correction_reason = reason.strip()
        reading.source = source.value
        reading.verification = verification.value
        reading.submitted_by_id = submitted_by.pk if submitted_by else None
        reading.import_file_id = import_file_id
        _judge(reading, first=revisions[0], minted=minted)
        _supersede(current)
        reading.save(force_insert=True)
    return Correction(reading=reading, created=True)


def _lock_revisions(reading_id: UUID) -> Sequence[MeterReading]:
    """All revisions of the same reading, oldest first, none of them in flight.

    Locked after their meter and their owner, as everywhere.
    """
    named = MeterReading.objects.filter(id=reading_id).first()
    if named is None:
        raise UnknownReading(reading_id)
    Meter.objects.select_for_update(no_key=True).get(id=named.meter_id)
    if named.owner_id is not None:
        Owner.objects.select_for_update(no_key=True).get(id=named.owner_id)
    same = _same_identity(named).select_for_update(no_key=True, of=("self",))
    revisions = sorted(
        same.select_related("meter").order_by("id"), key=lambda revision: revision.revision
    )
    for one in revisions:
        if one.status in IN_FLIGHT:
            raise ReadingInFlight(one.id)
    return revisions


def _same_identity(reading: MeterReading) -> MeterReadingQuerySet:
    same = MeterReading.objects.filter(
        meter=reading.meter_id, period_end=reading.period_end, period_kind=reading.period_kind
    )
    if reading.period_kind == PeriodKind.INTERVAL:
        same = same.filter(period_start=reading.period_start)
    return same


def _values(reading: MeterReading) -> Values:
    return (reading.kwh_amount, reading.energy_generated, reading.energy_consumed)


def _told_now(current: MeterReading, values: Values) -> Values:
    kwh, generated, consumed = values
    return (
        kwh,
        current.energy_generated if generated is None else generated,
        current.energy_consumed if consumed is None else consumed,
    )


def _next_revision(current: MeterReading, values: Values) -> MeterReading:
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
        submitted_at=timezone.now(),
    )


def _outdated(current: MeterReading, minted: MeterReading | None) -> bool:
    """Whether this revision only records a difference to a minting that never became final.

    A fork can take back what was confirmed. Telling the same again then replaces, so that nothing
    is withheld.
    """
    return current.code == ReadingCode.CORRECTED_AFTER_MINTING and minted is None


def _judge(reading: MeterReading, *, first: MeterReading, minted: MeterReading | None) -> None:
    """Sets status and code of a new revision, and the difference if one was minted."""
    if minted is not None:
        reading.correction_difference = reading.kwh_amount - minted.kwh_amount
        judgement = Judgement(ReadingStatus.NOT_MINTED, ReadingCode.CORRECTED_AFTER_MINTING)
    else:
        judgement = judge(_facts(reading, first=first), limits())
    reading.status = judgement.status.value
    reading.code = judgement.code.value if judgement.code else ""


def _facts(reading: MeterReading, *, first: MeterReading) -> Facts:
    own = (reading.period_start, reading.period_end)
    overlaps = False
    if reading.period_kind == PeriodKind.INTERVAL:
        timelines = load_timelines({reading.meter_id: [own]}, leaving_out=own)
        overlaps = timelines[reading.meter_id].overlaps(*own)
    return Facts(
        kwh=reading.kwh_amount,
        # A period that was told in time is not late because it is corrected.
        age=max(first.submitted_at - first.period_end, timedelta(0)),
        verification=Verification(reading.verification),
        overlaps=overlaps,
        has_wallet=Wallet.objects.current().filter(owner=reading.owner_id).exists(),
    )


def _supersede(current: MeterReading) -> None:
    current.is_current = False
    if current.status != ReadingStatus.MINTED:
        current.status = ReadingStatus.NOT_MINTED.value
        current.code = ReadingCode.SUPERSEDED.value
    current.save(update_fields=["is_current", "status", "code"])
