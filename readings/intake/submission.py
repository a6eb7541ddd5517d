"""Readings that come in, singly or by the thousand."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from itertools import islice
from typing import TYPE_CHECKING
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from readings.candidate import Candidate, Submission, examine
from readings.conf import limits
from readings.errors import ConflictingReading, ReadingError, UnknownMeter
from readings.intake.context import Holders, Span, load_timelines, lock_meters, owners_with_wallet
from readings.intake.storing import store
from readings.models import Meter, MeterReading
from readings.periods import Timeline, Told
from readings.rules import Facts, Judgement, Limits, PeriodKind, ReadingCode, ReadingSource, judge

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser

CHUNK = 1_000
"""Readings a transaction takes: as many as one API call may send."""


class OutcomeStatus(StrEnum):
    """What became of one item, in the words of the API."""

    CREATED = "created"
    DUPLICATE = "duplicate"
    CONFLICT = "conflict"
    INVALID = "invalid"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one item."""

    status: OutcomeStatus
    reading: MeterReading | None = None
    """Stored now, or before (duplicate, conflict); ``None`` when invalid."""
    error: ReadingError | None = None
    """Of a conflict or an invalid item."""
    told_otherwise: bool = False
    """Created, and a period told in the other way (by both ends, or by its end) holds this energy,
    too."""

    @property
    def reading_id(self) -> UUID | None:
        """The reading's id, if there is one."""
        return self.reading.id if self.reading else None

    @property
    def code(self) -> str:
        """Why it is not taken, not minted or held; empty when all is well."""
        if self.error:
            return self.error.code
        return self.reading.code if self.reading else ""

    @property
    def detail(self) -> str:
        """The sentence of the code."""
        if self.error:
            return str(self.error)
        return self.reading.reason if self.reading else ""


@dataclass(frozen=True, slots=True)
class Submitted:
    """A reading that is stored."""

    reading: MeterReading
    created: bool
    """False for an exact repeat, which gets the reading that we have."""


def submit(
    submission: Submission,
    *,
    source: ReadingSource,
    submitted_by: AbstractBaseUser | None = None,
) -> Submitted:
    """Takes one reading.

    Raises:
        InvalidReading: It cannot be a reading.
        UnknownMeter: No meter has this serial.
        ConflictingReading: The meter told other values for this period.
    """
    (outcome,) = submit_many([submission], source=source, submitted_by=submitted_by)
    if outcome.error is not None:
        raise outcome.error
    if outcome.reading is None:
        raise AssertionError("An outcome has a reading or an error")
    return Submitted(reading=outcome.reading, created=outcome.status is OutcomeStatus.CREATED)


def submit_many(
    items: Iterable[Submission | ReadingError],
    *,
    source: ReadingSource,
    submitted_by: AbstractBaseUser | None = None,
    submitted_at: datetime | None = None,
    import_file_id: UUID | None = None,
) -> list[Outcome]:
    """Takes any number of readings, each by itself: one bad item fails no other.

    Every ``CHUNK`` of them is a transaction of its own, with a constant number of queries.

    Args:
        items: Readings; an error stands for one that its door or file could not even make out.
        source: Which way they came in.
        submitted_by: Whose token or session sent them.
        submitted_at: Now, unless an old system's record of it is taken over.
        import_file_id: The file that tells them.

    Returns:
        An outcome for each item, in the order given.
    """
    outcomes: list[Outcome] = []
    for chunk in _chunks(items):
        intake = _Intake(
            now=submitted_at or timezone.now(),
            limits=limits(),
            source=source,
            submitted_by_id=submitted_by.pk if submitted_by else None,
            import_file_id=import_file_id,
        )
        outcomes += intake.take(chunk)
    return outcomes


def _chunks(
    items: Iterable[Submission | ReadingError],
) -> Iterator[list[Submission | ReadingError]]:
    rest = iter(items)
    while chunk := list(islice(rest, CHUNK)):
        yield chunk


@dataclass(frozen=True, slots=True)
class _Repeat:
    """An item whose identity came in before."""

    told: Told
    agrees: bool


@dataclass(frozen=True, slots=True)
class _Known:
    """What is known of an item's meter at its time."""

    meter: Meter
    timeline: Timeline
    owner_id: UUID | None
    has_wallet: bool


_Decision = MeterReading | _Repeat | ReadingError


@dataclass(frozen=True, slots=True)
class _Intake:
    now: datetime
    limits: Limits
    source: ReadingSource
    submitted_by_id: int | None
    import_file_id: UUID | None
    told_otherwise: set[UUID] = field(default_factory=set)

    def take(self, items: Sequence[Submission | ReadingError]) -> list[Outcome]:
        examined = [self._examine(item) for item in items]
        with transaction.atomic():
            decisions = self._decide_all(examined)
            new = [decision for decision in decisions if isinstance(decision, MeterReading)]
            # Locks keep repeats out; should anybody write without them, the unique
            # constraints refuse the whole chunk rather than let one reading count twice.
            store(new)
            return _outcomes(decisions, {each.id: each for each in new}, self.told_otherwise)

    def _examine(self, item: Submission | ReadingError) -> Candidate | ReadingError:
        if isinstance(item, ReadingError):
            return item
        try:
            return examine(item, now=self.now)
        except ReadingError as error:
            return error

    def _decide_all(self, examined: Sequence[Candidate | ReadingError]) -> list[_Decision]:
        candidates = [one for one in examined if isinstance(one, Candidate)]
        meters = lock_meters({one.meter_serial for one in candidates})
        known = [one for one in candidates if one.meter_serial in meters]
        timelines = load_timelines(_spans(known, meters))
        holders = Holders([meter.id for meter in meters.values()])
        owners = {holders.at(meters[one.meter_serial].id, one.end) for one in known}
        payable = owners_with_wallet({owner for owner in owners if owner is not None})

        decisions: list[_Decision] = []
        for one in examined:
            if isinstance(one, ReadingError):
                decisions.append(one)
            elif (meter := meters.get(one.meter_serial)) is None:
                decisions.append(UnknownMeter(one.meter_serial))
            else:
                owner_id = holders.at(meter.id, one.end)
                known_of_it = _Known(meter, timelines[meter.id], owner_id, owner_id in payable)
                decisions.append(self._decide(one, known_of_it))
        return decisions

    def _decide(self, candidate: Candidate, known: _Known) -> MeterReading | _Repeat:
        if same := known.timeline.same(candidate.identity, candidate.values):
            return _Repeat(*same)
        start = candidate.start or known.timeline.start_of(
            candidate.end, candidate.interval or known.meter.interval
        )
        overlaps = candidate.kind is PeriodKind.INTERVAL and known.timeline.overlaps(
            start, candidate.end
        )
        facts = Facts(
            kwh=candidate.values[0],
            age=self.now - candidate.end,
            verification=candidate.verification,
            overlaps=overlaps,
            has_wallet=known.has_wallet,
        )
        reading = self._reading(candidate, known, start, judge(facts, self.limits))
        if reading.kwh_amount > 0 and known.timeline.told_otherwise(
            candidate.kind, start, candidate.end
        ):
            self.told_otherwise.add(reading.id)
        # Later items of the same chunk see it as they would see a stored one.
        known.timeline.add(
            Told(
                reading_id=reading.id,
                kind=candidate.kind,
                start=start,
                end=candidate.end,
                values=candidate.values,
                is_current=True,
                gives_way=reading.code == ReadingCode.OVERLAPPING_PERIOD,
            )
        )
        return reading

    def _reading(
        self, candidate: Candidate, known: _Known, start: datetime, judgement: Judgement
    ) -> MeterReading:
        kwh, generated, consumed = candidate.values
        return MeterReading(
            meter=known.meter,
            owner_id=known.owner_id,
            kwh_amount=kwh,
            energy_generated=generated,
            energy_consumed=consumed,
            period_start=start,
            period_end=candidate.end,
            period_kind=candidate.kind.value,
            status=judgement.status.value,
            code=judgement.code.value if judgement.code else "",
            verification=candidate.verification.value,
            meter_signature=candidate.meter_signature,
            external_id=candidate.external_id,
            source=self.source.value,
            submitted_at=self.now,
            submitted_by_id=self.submitted_by_id,
            import_file_id=self.import_file_id,
        )


def _spans(candidates: Iterable[Candidate], meters: dict[str, Meter]) -> dict[UUID, list[Span]]:
    spans: dict[UUID, list[Span]] = defaultdict(list)
    for one in candidates:
        meter = meters[one.meter_serial]
        start = one.start or one.end - (one.interval or meter.interval)
        spans[meter.id].append((start, one.end))
    return spans


def _outcomes(
    decisions: Sequence[_Decision], new: dict[UUID, MeterReading], otherwise: set[UUID]
) -> list[Outcome]:
    before = {
        decision.told.reading_id
        for decision in decisions
        if isinstance(decision, _Repeat) and decision.told.reading_id not in new
    }
    known = new | (MeterReading.objects.select_related("meter").in_bulk(before) if before else {})
    outcomes: list[Outcome] = []
    for decision in decisions:
        if isinstance(decision, ReadingError):
            outcomes.append(Outcome(OutcomeStatus.INVALID, error=decision))
        elif isinstance(decision, MeterReading):
            outcomes.append(
                Outcome(
                    OutcomeStatus.CREATED,
                    reading=decision,
                    told_otherwise=decision.id in otherwise,
                )
            )
        elif decision.agrees:
            outcomes.append(
                Outcome(OutcomeStatus.DUPLICATE, reading=known[decision.told.reading_id])
            )
        else:
            outcomes.append(
                Outcome(
                    OutcomeStatus.CONFLICT,
                    reading=known[decision.told.reading_id],
                    error=ConflictingReading(decision.told.reading_id),
                )
            )
    return outcomes
