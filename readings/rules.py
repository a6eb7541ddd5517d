"""Is this reading mintable, else why not: one judge for every way in.

Pure: no Django, no I/O, no clock. What is known comes in as ``Facts``, what is allowed as
``Limits``; the answer is a ``Judgement``. What cannot be a reading at all raises
``InvalidReading``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from enum import StrEnum

from readings.errors import InvalidReading

KWH_PLACES = 9
KWH_QUANTUM = Decimal(1).scaleb(-KWH_PLACES)
ABSURD_KWH = Decimal(10**9)
"""1 TWh: no meter measures it in one interval, and below it the token's base units fit a u64."""

FUTURE_TOLERANCE = timedelta(minutes=5)
"""Meters' clocks run ahead by so much."""

OBIS_IMPORT = "1.1.1.8.0.255"
"""Active energy taken from the grid, in Wh; kept, never minted."""

OBIS_EXPORT = "1.1.2.8.0.255"
"""Active energy delivered to the grid, in Wh (IEC 62056-6-1, as the DLMS door spells it)."""

EXPORTED_NAMES = ("surplus_energy", "kwh_amount", "kwh")
"""Names of the exported kWh, best first, after ``OBIS_EXPORT``."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
"""What is dated earlier is no measurement; a clock that was reset starts here."""

END_OF_TIME = datetime(9999, 1, 1, tzinfo=UTC)
"""What is dated later is a mistake, and may have no UTC form."""

MAX_PERIOD = timedelta(days=32)
"""A month and some hours; longer is a counter's history, not an interval."""

_NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,4})?")


class ReadingStatus(StrEnum):
    """Where a reading stands."""

    PENDING = "pending"
    """Can be minted."""
    HELD = "held"
    """Not now; its code says why."""
    NOT_MINTED = "not_minted"
    """Never: consumption, or replaced by a correction."""
    MINTING = "minting"
    IN_DOUBT = "in_doubt"
    RETRYING = "retrying"
    """Failed for now, a retry is due."""
    FAILED = "failed"
    MINTED = "minted"


IN_FLIGHT = frozenset({ReadingStatus.MINTING, ReadingStatus.IN_DOUBT})
UNDECIDED = frozenset({ReadingStatus.PENDING, ReadingStatus.HELD})
"""Statuses that the rules may change; all others belong to minting, or are final."""

CODED = frozenset({ReadingStatus.HELD, ReadingStatus.NOT_MINTED})
"""Statuses that always say why."""

UNCODED = frozenset({ReadingStatus.PENDING, ReadingStatus.MINTING, ReadingStatus.MINTED})
"""Statuses in which nothing is left to explain; the others carry minting's code, if any."""


class ReadingCode(StrEnum):
    """Why a reading is not taken, not minted or not now; ``reason`` is its sentence."""

    INVALID_READING = "invalid_reading"
    UNKNOWN_METER = "unknown_meter"
    CONFLICT = "conflict"

    CONSUMPTION = "consumption"
    SUPERSEDED = "superseded"
    CORRECTED_AFTER_MINTING = "corrected_after_minting"

    OVERLAPPING_PERIOD = "overlapping_period"
    READING_TOO_OLD = "reading_too_old"
    READING_TOO_LARGE = "reading_too_large"
    UNVERIFIED = "unverified"
    NO_WALLET = "no_wallet"

    UNKNOWN_READING = "unknown_reading"
    ALREADY_MINTED = "already_minted"
    BEING_MINTED = "being_minted"
    STATUS_NOT_ALLOWED = "status_not_allowed"
    NOT_HELD = "not_held"

    @property
    def reason(self) -> str:
        """The sentence that people read."""
        return REASONS[self]


REASONS: Mapping[ReadingCode, str] = {
    ReadingCode.INVALID_READING: "This cannot be a reading.",
    ReadingCode.UNKNOWN_METER: "No meter with this serial is registered.",
    ReadingCode.CONFLICT: "The same meter and period came in before with other values.",
    ReadingCode.CONSUMPTION: "Nothing was exported: zero and consumption are never minted.",
    ReadingCode.SUPERSEDED: "A correction replaced this reading.",
    ReadingCode.CORRECTED_AFTER_MINTING: (
        "Corrected after minting: the difference is recorded, and neither minted nor clawed back."
    ),
    ReadingCode.OVERLAPPING_PERIOD: "The period overlaps another reading of the same meter.",
    ReadingCode.READING_TOO_OLD: "The period had ended too long before the reading came in.",
    ReadingCode.READING_TOO_LARGE: "More kWh than one reading may have.",
    ReadingCode.UNVERIFIED: "Nobody vouches for this reading.",
    ReadingCode.NO_WALLET: "The meter has no owner with a registered wallet.",
    ReadingCode.UNKNOWN_READING: "There is no such reading.",
    ReadingCode.ALREADY_MINTED: "This reading is minted.",
    ReadingCode.BEING_MINTED: "This reading is being minted.",
    ReadingCode.STATUS_NOT_ALLOWED: "A reading in this status was not asked for.",
    ReadingCode.NOT_HELD: "This reading is not held.",
}


def reason_of(code: str) -> str:
    """The sentence of a stored code; empty for none and for codes of minting."""
    return next((known.reason for known in ReadingCode if known == code), "")


class Verification(StrEnum):
    """Who vouches for a reading."""

    VERIFIED = "verified"
    UNVERIFIED = "unverified"
    LEGACY_UNVERIFIED = "legacy_unverified"
    """The old gateway's rows, which pass."""


class PeriodKind(StrEnum):
    """How the period was told: it decides what makes two readings the same."""

    INTERVAL = "interval"
    """By both ends: (meter, start, end)."""
    TIMESTAMP = "timestamp"
    """By its end: (meter, end)."""


class ReadingSource(StrEnum):
    """Which way a reading came in."""

    API = "api"
    FILE = "file"
    ADMIN = "admin"
    GATEWAY = "gateway"
    DEMO = "demo"


@dataclass(frozen=True, slots=True)
class Limits:
    """What the operator allows."""

    max_reading_kwh: Decimal
    max_age: timedelta


@dataclass(frozen=True, slots=True)
class Facts:
    """All that decides whether a reading may be minted."""

    kwh: Decimal
    age: timedelta
    """From the period's end to the submission."""
    verification: Verification
    overlaps: bool
    has_wallet: bool
    released: bool = False
    """Somebody with the right looked at it and took responsibility."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """Status and, unless it is mintable, the code that says why."""

    status: ReadingStatus
    code: ReadingCode | None = None

    @property
    def reason(self) -> str:
        """The code's sentence, or nothing."""
        return self.code.reason if self.code else ""


MINTABLE = Judgement(ReadingStatus.PENDING)


def judge(facts: Facts, limits: Limits) -> Judgement:
    """Judges a reading as it comes in.

    What is judged once (overlap, age) is named before what may change later, so that a reading
    held for a later cause is known to have passed the earlier ones.
    """
    if facts.kwh <= 0:
        return Judgement(ReadingStatus.NOT_MINTED, ReadingCode.CONSUMPTION)
    doubts = (
        (ReadingCode.OVERLAPPING_PERIOD, facts.overlaps),
        (ReadingCode.READING_TOO_OLD, facts.age > limits.max_age),
        (ReadingCode.READING_TOO_LARGE, facts.kwh > limits.max_reading_kwh),
        (ReadingCode.UNVERIFIED, facts.verification is Verification.UNVERIFIED),
    )
    for code, applies in doubts:
        if applies and not facts.released:
            return Judgement(ReadingStatus.HELD, code)
    if not facts.has_wallet:
        return Judgement(ReadingStatus.HELD, ReadingCode.NO_WALLET)
    return MINTABLE


def judge_again(facts: Facts, limits: Limits, *, standing: str) -> Judgement:
    """Judges a stored reading again for what can change: limits, wallet, release.

    Age and overlap were judged at intake: they count only for a reading that stands ``held`` for
    them, so a lowered age limit never catches what came in time.

    Args:
        facts: What is known now; ``overlaps`` is ignored.
        limits: What is allowed now.
        standing: The stored code, empty while pending.
    """
    return judge(
        replace(
            facts,
            overlaps=standing == ReadingCode.OVERLAPPING_PERIOD,
            age=facts.age if standing == ReadingCode.READING_TOO_OLD else timedelta(0),
        ),
        limits,
    )


def parse_kwh(value: object, *, name: str = "kwh_amount") -> Decimal:
    """Energy as it came in, to 9 places.

    A number (``Decimal`` or ``int``: parse JSON with ``parse_float=Decimal``) is rounded half-even;
    a string says what it means and is refused with more than 9 places.

    >>> parse_kwh(Decimal("0.12345678950"))
    Decimal('0.123456790')
    >>> parse_kwh("1.5")
    Decimal('1.500000000')

    Raises:
        InvalidReading: Not a finite number, a float, too many places, or absurdly large.
    """
    return _rounded(value, name, places=KWH_PLACES)


def parse_wh(value: object, *, name: str) -> Decimal:
    """Energy that came in as Wh, in kWh to 9 places; by the same rule.

    >>> parse_wh(Decimal("120.5"), name="1.1.1.8.0.255")
    Decimal('0.120500000')

    Raises:
        InvalidReading: Not a finite number, a float, too many places, or absurdly large.
    """
    return _rounded(value, name, places=KWH_PLACES - 3).scaleb(-3)


def exported_kwh(payload: Mapping[str, object]) -> Decimal:
    """The exported energy of a client's body: the first that is present.

    ``1.1.2.8.0.255`` (Wh) → ``surplus_energy`` → ``kwh_amount`` → ``kwh``. Nulls are absent.

    Raises:
        InvalidReading: None is present, or the one that is present is no energy.
    """
    wh = payload.get(OBIS_EXPORT)
    if wh is not None:
        return parse_wh(wh, name=OBIS_EXPORT)
    for name in EXPORTED_NAMES:
        if (value := payload.get(name)) is not None:
            return parse_kwh(value, name=name)
    raise InvalidReading(f"None of {OBIS_EXPORT}, {', '.join(EXPORTED_NAMES)} is given")


def consumed_kwh(payload: Mapping[str, object]) -> object:
    """The imported energy of a client's body, kept and never minted, as ``parse_kwh`` takes it.

    ``energy_consumed``, else ``1.1.1.8.0.255`` (Wh); ``None`` where neither is told.

    Raises:
        InvalidReading: The register is no energy.
    """
    consumed = payload.get("energy_consumed")
    if consumed is None and (wh := payload.get(OBIS_IMPORT)) is not None:
        return parse_wh(wh, name=OBIS_IMPORT)
    return consumed


def read_iso(text: str) -> datetime:
    """ISO 8601 with a time: a day alone would silently be its midnight.

    Raises:
        ValueError: It is none.
    """
    text = text.strip()
    if len(text) < len("20260131T00"):
        raise ValueError(text)
    return datetime.fromisoformat(text)


def parse_instant(value: object, *, name: str) -> datetime:
    """A point in time with its offset, as UTC: a ``datetime`` or ISO 8601 text.

    Raises:
        InvalidReading: No such thing, or without an offset.
    """
    if isinstance(value, str):
        try:
            value = read_iso(value)
        except ValueError:
            raise InvalidReading(f"{name} is not an ISO 8601 date and time") from None
    if not isinstance(value, datetime):
        raise InvalidReading(f"{name} is not a date and time")
    if value.utcoffset() is None:
        raise InvalidReading(f"{name} has no UTC offset")
    # Compared before it is converted: year 1 east of Greenwich has no UTC form, nor has the end of
    # 9999 west of it.
    if value < EPOCH:
        raise InvalidReading(f"{name} is before 1970")
    if value >= END_OF_TIME:
        raise InvalidReading(f"{name} is after the year 9998")
    return value.astimezone(UTC)


def check_period(*, start: datetime | None, end: datetime, now: datetime) -> None:
    """Refuses a period that cannot be.

    Raises:
        InvalidReading: It ends before or when it starts, lasts for more than a month, or ends
            in the future.
    """
    if start is not None and start >= end:
        raise InvalidReading("The period must end after it starts")
    if start is not None and end - start > MAX_PERIOD:
        raise InvalidReading("The period is longer than a month")
    if end > now + FUTURE_TOLERANCE:
        raise InvalidReading("The period ends in the future")


def same_values(
    mine: tuple[Decimal, Decimal | None, Decimal | None],
    theirs: tuple[Decimal, Decimal | None, Decimal | None],
) -> bool:
    """Whether two tellings of (exported, generated, consumed) agree.

    What only one of them tells cannot disagree: not every door carries all three.
    """
    return all(a is None or b is None or a == b for a, b in zip(mine, theirs, strict=True))


def _parse_number(value: object, name: str) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, Decimal | int | str):
        raise InvalidReading(f"{name} is not a decimal number")
    if isinstance(value, str):
        value = value.strip()
        if not _NUMBER.fullmatch(value):
            raise InvalidReading(f"{name} is not a decimal number")
    number = Decimal(value)
    if not number.is_finite():
        raise InvalidReading(f"{name} is not a finite number")
    return number


def _places(number: Decimal) -> int:
    return max(0, -int(number.as_tuple().exponent))


def _rounded(value: object, name: str, *, places: int) -> Decimal:
    """The number to so many places: 9 of a kWh, 6 of a Wh; rounded once, from all its digits."""
    number = _parse_number(value, name)
    if isinstance(value, str) and _places(number) > places:
        raise InvalidReading(f"{name} has more than {places} decimal places")
    # copy_abs, unlike abs(), does not round to the context and so cannot overflow.
    if number.copy_abs() >= ABSURD_KWH.scaleb(KWH_PLACES - places):
        raise InvalidReading(f"{name} is absurdly large")
    rounded = number.quantize(Decimal(1).scaleb(-places), rounding=ROUND_HALF_EVEN)
    return rounded or rounded.copy_abs()  # no negative zero
