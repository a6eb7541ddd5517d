"""Readings that are held: judged again when a cause changes, or released by a person."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone

from readings.conf import limits
from readings.errors import ReasonRequired
from readings.models import MeterReading, MeterReadingQuerySet, Wallet
from readings.rules import (
    Facts,
    Judgement,
    Limits,
    ReadingCode,
    ReadingStatus,
    Verification,
    judge_again,
    reason_of,
)

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser

CHUNK = 5_000
"""Readings locked and judged at a time."""


@dataclass(frozen=True, slots=True)
class ReleaseOutcome:
    """What became of one reading that a person wanted to release."""

    reading_id: UUID
    code: str
    """Why it is not mintable now; empty when it is."""

    @property
    def released(self) -> bool:
        """Whether it is mintable now."""
        return not self.code

    @property
    def reason(self) -> str:
        """The sentence of the code."""
        return reason_of(self.code)


def rejudge(readings: MeterReadingQuerySet) -> int:
    """Asks the rules again about those of ``readings`` that are pending or held.

    For a cause that changed: a limit was raised, a wallet registered or retired. A reading that
    somebody released stays released.

    Returns:
        How many changed.
    """
    changed = 0
    last: UUID | None = None
    while True:
        # By key rather than by offset: what changes may leave the set that is walked through.
        rest = readings if last is None else readings.filter(id__gt=last)
        with transaction.atomic():
            rows = list(_locked(rest.undecided())[:CHUNK])
            changed += _judge_all(rows)
        if len(rows) < CHUNK:
            return changed
        last = rows[-1].id


def rejudge_limits() -> int:
    """Lets go what the limits of now no longer hold; cheap, so that a schedule may ask often.

    Returns:
        How many changed.
    """
    now_allowed = limits()
    small = Q(code=ReadingCode.READING_TOO_LARGE.value, kwh_amount__lte=now_allowed.max_reading_kwh)
    young = Q(
        code=ReadingCode.READING_TOO_OLD.value,
        submitted_at__lte=F("period_end") + now_allowed.max_age,
    )
    return rejudge(MeterReading.objects.held().filter(small | young))


def release(
    reading_ids: Sequence[UUID], *, by: AbstractBaseUser, reason: str
) -> list[ReleaseOutcome]:
    """Lets held readings be minted, because a person says so, whose reason is kept.

    A missing wallet cannot be released: there is nobody to pay. A reading held for something else
    besides is released from that, and waits for its wallet.

    Args:
        reading_ids: Any number; unknown ones and such as are not held are told as such.
        by: Who takes responsibility. Whether this person may is the caller's question.
        reason: Why; kept with each reading.

    Raises:
        ReasonRequired: The reason is empty.
    """
    if not reason.strip():
        raise ReasonRequired("A release")
    ids = sorted(set(reading_ids), key=lambda one: one.bytes)
    outcomes: list[ReleaseOutcome] = []
    for at in range(0, len(ids), CHUNK):
        with transaction.atomic():
            outcomes += _release(ids[at : at + CHUNK], by=by, reason=reason.strip())
    return outcomes


def _release(ids: list[UUID], *, by: AbstractBaseUser, reason: str) -> list[ReleaseOutcome]:
    rows = {row.id: row for row in _locked(MeterReading.objects.filter(id__in=ids))}
    refusals = {reading_id: _refusal(rows.get(reading_id)) for reading_id in ids}
    released = [rows[reading_id] for reading_id, refusal in refusals.items() if not refusal]
    at = timezone.now()
    for row in released:
        row.released_at = at
    MeterReading.objects.filter(id__in=[row.id for row in released]).update(
        released_at=at, released_by=by.pk, release_reason=reason
    )
    _judge_all(released)
    codes = refusals | {row.id: row.code for row in released}
    return [ReleaseOutcome(reading_id, codes[reading_id]) for reading_id in ids]


def _refusal(row: MeterReading | None) -> str:
    """Why this reading cannot be released, or nothing."""
    if row is None:
        return ReadingCode.UNKNOWN_READING.value
    if not row.is_current:
        return ReadingCode.SUPERSEDED.value
    if row.status != ReadingStatus.HELD:
        return ReadingCode.NOT_HELD.value
    return row.code if row.code == ReadingCode.NO_WALLET else ""


def _locked(readings: MeterReadingQuerySet) -> MeterReadingQuerySet:
    return readings.select_for_update(no_key=True).order_by("id")


def _judge_all(rows: Sequence[MeterReading]) -> int:
    """Judges locked readings again and stores what changed; answers how many did."""
    # Asked after the readings were locked: a wallet that is registered meanwhile either shows
    # here, or its registration waits for these locks and then judges them itself.
    owners = {row.owner_id for row in rows}
    payable = set(Wallet.objects.current().filter(owner__in=owners).values_list("owner", flat=True))
    now_allowed = limits()
    changes: dict[tuple[str, str], list[UUID]] = defaultdict(list)
    for row in rows:
        judgement = _judge(row, has_wallet=row.owner_id in payable, now_allowed=now_allowed)
        stands = (judgement.status.value, judgement.code.value if judgement.code else "")
        if stands != (row.status, row.code):
            row.status, row.code = stands
            changes[stands].append(row.id)
    for (status, code), ids in changes.items():
        MeterReading.objects.filter(id__in=ids).update(status=status, code=code)
    return sum(map(len, changes.values()))


def _judge(row: MeterReading, *, has_wallet: bool, now_allowed: Limits) -> Judgement:
    facts = Facts(
        kwh=row.kwh_amount,
        age=row.submitted_at - row.period_end,
        verification=Verification(row.verification),
        overlaps=False,
        has_wallet=has_wallet,
        released=row.released_at is not None,
    )
    return judge_again(facts, now_allowed, standing=row.code)
