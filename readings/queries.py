"""The one way out to minting: what may be minted, for whom, and what became of it.

``lock_for_minting`` is how a batch begins; ``set_status`` is how minting's journal tells what
became of each reading. Both take any number of ids in a constant number of queries.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import NamedTuple, NewType
from uuid import UUID

from django.db import connection
from django.db.models import F, Sum

from readings.conf import limits
from readings.errors import UnknownReading
from readings.models import MeterReading, MeterReadingQuerySet, Wallet
from readings.rules import (
    IN_FLIGHT,
    UNCODED,
    Facts,
    Limits,
    ReadingCode,
    ReadingStatus,
    Verification,
    judge_again,
    reason_of,
)

STATUS_CHUNK = 10_000
"""Rows a statement of ``set_status`` carries."""

FETCH_CHUNK = 5_000
"""Ids that ``pending_ids`` fetches at a time from its server-side cursor."""


@dataclass(frozen=True, slots=True)
class MintableRow:
    """A reading that may be minted, and who is paid for it where."""

    reading_id: UUID
    owner_user_id: str
    wallet_address: str
    kwh_amount: Decimal
    meter_serial: str
    allow_off_curve: bool
    allow_program_owned: bool


@dataclass(frozen=True, slots=True)
class Excluded:
    """A reading that may not be minted, and why."""

    reading_id: UUID
    code: str
    reason: str


@dataclass(frozen=True, slots=True)
class LockedReadings:
    """Every id asked for, once, on one side or the other; both in the order of ids."""

    mintable: list[MintableRow]
    excluded: list[Excluded]


StatusChange = tuple[UUID, str, str, UUID | None]
"""Reading, status, code (empty unless one is due), the result that says so."""

UuidArray = NewType("UuidArray", str)
"""PostgreSQL's own text of a ``uuid[]``: ids that nobody has to read on the way."""


@dataclass(frozen=True, slots=True)
class Alike:
    """Readings that become the same; each has its own result, in the same place."""

    reading_ids: UuidArray
    result_ids: UuidArray
    status: str
    code: str


class _Row(NamedTuple):
    reading_id: UUID
    kwh_amount: Decimal
    status: str
    code: str
    is_current: bool
    released: bool
    verification: str
    meter_serial: str
    owner_user_id: str | None
    wallet_address: str | None
    allow_off_curve: bool | None
    allow_program_owned: bool | None


_SELECT = """
SELECT r.id, r.kwh_amount, r.status, r.code, r.is_current, r.released_at IS NOT NULL,
       r.verification, m.serial, o.user_id, w.address, w.allow_off_curve, w.allow_program_owned
  FROM readings_meterreading r
  JOIN readings_meter m ON m.id = r.meter_id
  LEFT JOIN readings_owner o ON o.id = r.owner_id
  LEFT JOIN readings_wallet w ON w.owner_id = r.owner_id AND w.retired_at IS NULL
 WHERE r.id = ANY(%s)
 ORDER BY r.id
"""

# Rows are locked in the order of ids by whoever locks several, so that two never wait for each
# other; NO KEY, so that inserting a result that refers to the reading does not wait either.
_LOCK = _SELECT + " FOR NO KEY UPDATE OF r"

_SET_STATUS = """
WITH locked AS (
    SELECT id FROM readings_meterreading WHERE id = ANY(%(ids)s) ORDER BY id FOR NO KEY UPDATE
)
UPDATE readings_meterreading r
   SET status = v.status, code = v.code, last_result_id = v.result_id
  FROM unnest(%(ids)s::uuid[], %(statuses)s::text[], %(codes)s::text[], %(results)s::uuid[])
       AS v (id, status, code, result_id)
  JOIN locked ON locked.id = v.id
 WHERE r.id = v.id
"""


_CHANGES_ALIKE = """
SELECT reading_id, %s, %s, result_id
  FROM unnest(%s::uuid[], %s::uuid[]) AS alike (reading_id, result_id)
"""

_SET_ALIKE = """
WITH v (id, status, code, result_id) AS MATERIALIZED ({changes}),
locked AS (
    SELECT r.id FROM readings_meterreading r JOIN v ON v.id = r.id
     ORDER BY r.id FOR NO KEY UPDATE OF r
)
UPDATE readings_meterreading r
   SET status = v.status, code = v.code, last_result_id = v.result_id
  FROM v JOIN locked ON locked.id = v.id
 WHERE r.id = v.id
"""


def lock_for_minting(ids: Sequence[UUID], *, allowed: frozenset[ReadingStatus]) -> LockedReadings:
    """Locks readings until the transaction ends and says which of them may be minted now.

    What can change since intake is judged again: the owner's wallet and the largest reading.

    Args:
        ids: Any number, in any order; one named twice is told once.
        allowed: The statuses that the caller mints: pending, and for staff retrying and failed.
    """
    _require_transaction()
    return _sort_out(ids, _LOCK, allowed)


def look_for_minting(ids: Sequence[UUID], *, allowed: frozenset[ReadingStatus]) -> LockedReadings:
    """What ``lock_for_minting`` would answer now, without locking anything."""
    return _sort_out(ids, _SELECT, allowed)


def lock_retrying(results: Mapping[UUID, UUID]) -> set[UUID]:
    """Locks those of the readings that are ``retrying`` because of the result given for each."""
    _require_transaction()
    rows = (
        MeterReading.objects.select_for_update(no_key=True)
        .filter(id__in=results, status=ReadingStatus.RETRYING)
        .order_by("id")
    )
    return {id_ for id_, last in rows.values_list("id", "last_result_id") if last == results[id_]}


def pending_ids(*, min_owner_kwh: Decimal | None = None) -> Iterator[UUID]:
    """Ids of all that is pending, an owner's together, from a server-side cursor.

    Args:
        min_owner_kwh: Leaves out owners whose pending readings sum up to less.
    """
    pending = MeterReading.objects.mintable()
    if min_owner_kwh is not None:
        owners = (
            pending.values("owner").annotate(kwh=Sum("kwh_amount")).filter(kwh__gte=min_owner_kwh)
        )
        pending = pending.filter(owner__in=owners.values("owner"))
    return (
        pending.order_by(F("owner").asc(), F("id").asc())
        .values_list("id", flat=True)
        .iterator(chunk_size=FETCH_CHUNK)
    )


def readings_for_display(ids: Sequence[UUID]) -> MeterReadingQuerySet:
    """These readings with meter and owner, and the owner's wallet as ``owner_wallet_address``."""
    return (
        MeterReading.objects.filter(id__in=ids)
        .select_related("meter", "owner")
        .with_wallet_address()
    )


def program_owned_wallets(addresses: Collection[str]) -> frozenset[str]:
    """Which of these wallets may be accounts of a program, because a person said so."""
    return frozenset(
        Wallet.objects.filter(address__in=addresses, allow_program_owned=True).values_list(
            "address", flat=True
        )
    )


def set_status(changes: Iterable[StatusChange]) -> None:
    """Writes what became of readings, in the transaction of the journal that says so.

    Args:
        changes: Stored as given (a result of ``None`` clears it), but for the code of a status
            that has nothing to explain.

    Raises:
        UnknownReading: One of the readings does not exist; the caller's transaction must end.
    """
    _require_transaction()
    ordered = sorted(changes, key=lambda change: change[0].bytes)
    with connection.cursor() as cursor:
        for at in range(0, len(ordered), STATUS_CHUNK):
            chunk = ordered[at : at + STATUS_CHUNK]
            ids = [change[0] for change in chunk]
            cursor.execute(
                _SET_STATUS,
                {
                    "ids": ids,
                    "statuses": [str(status) for _, status, _, _ in chunk],
                    "codes": ["" if status in UNCODED else code for _, status, code, _ in chunk],
                    "results": [result_id for _, _, _, result_id in chunk],
                },
            )
            if cursor.rowcount != len(chunk):
                raise UnknownReading(_first_unknown(ids))


def set_alike(changes: Iterable[Alike]) -> None:
    """As ``set_status``, in one statement, for any number of readings of which many are alike.

    Every reading exists: a result refers to it.
    """
    _require_transaction()
    parameters = [
        value
        for each in changes
        for value in (
            str(each.status),
            "" if each.status in UNCODED else each.code,
            each.reading_ids,
            each.result_ids,
        )
    ]
    union = " UNION ALL ".join([_CHANGES_ALIKE] * (len(parameters) // 4))
    with connection.cursor() as cursor:
        cursor.execute(_SET_ALIKE.format(changes=union), parameters)


def _first_unknown(ids: list[UUID]) -> UUID:
    known = set(MeterReading.objects.filter(id__in=ids).values_list("id", flat=True))
    return next((reading_id for reading_id in ids if reading_id not in known), ids[0])


def _require_transaction() -> None:
    if not connection.in_atomic_block:
        raise RuntimeError("Readings are locked and written inside transaction.atomic() only")


def _sort_out(ids: Sequence[UUID], sql: str, allowed: frozenset[ReadingStatus]) -> LockedReadings:
    rows = {row.reading_id: row for row in _fetch(ids, sql)}
    now_allowed = limits()
    found = LockedReadings(mintable=[], excluded=[])
    for reading_id in sorted(set(ids), key=lambda one: one.bytes):
        row = rows.get(reading_id)
        answer = (
            _exclude(reading_id, ReadingCode.UNKNOWN_READING)
            if row is None
            else _answer(row, allowed, now_allowed)
        )
        if isinstance(answer, MintableRow):
            found.mintable.append(answer)
        else:
            found.excluded.append(answer)
    return found


def _fetch(ids: Sequence[UUID], sql: str) -> list[_Row]:
    with connection.cursor() as cursor:
        cursor.execute(sql, [list(ids)])
        return [_Row(*row) for row in cursor.fetchall()]


def _answer(
    row: _Row, allowed: frozenset[ReadingStatus], now_allowed: Limits
) -> MintableRow | Excluded:
    code = _standing_against(row, allowed) or _judged_again(row, now_allowed)
    return _exclude(row.reading_id, code) if code else _mintable(row)


def _standing_against(row: _Row, allowed: frozenset[ReadingStatus]) -> str:
    """The code by which what is stored speaks against minting, or nothing."""
    status = ReadingStatus(row.status)
    if status is ReadingStatus.MINTED:
        return ReadingCode.ALREADY_MINTED
    if status in IN_FLIGHT:
        return ReadingCode.BEING_MINTED
    if not row.is_current:
        return ReadingCode.SUPERSEDED
    if status in {ReadingStatus.HELD, ReadingStatus.NOT_MINTED}:
        return row.code
    return "" if status in allowed else ReadingCode.STATUS_NOT_ALLOWED


def _judged_again(row: _Row, now_allowed: Limits) -> str:
    facts = Facts(
        kwh=row.kwh_amount,
        age=timedelta(0),
        verification=Verification(row.verification),
        overlaps=False,
        has_wallet=row.wallet_address is not None,
        released=row.released,
    )
    return judge_again(facts, now_allowed, standing="").code or ""


def _exclude(reading_id: UUID, code: str) -> Excluded:
    return Excluded(reading_id=reading_id, code=str(code), reason=reason_of(code))


def _mintable(row: _Row) -> MintableRow:
    # The judge has seen a wallet, and a wallet has an owner.
    return MintableRow(
        reading_id=row.reading_id,
        owner_user_id=row.owner_user_id or "",
        wallet_address=row.wallet_address or "",
        kwh_amount=row.kwh_amount,
        meter_serial=row.meter_serial,
        allow_off_curve=bool(row.allow_off_curve),
        allow_program_owned=bool(row.allow_program_owned),
    )
