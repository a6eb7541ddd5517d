"""Whether each of any number of readings may be minted now, and who is paid for it where."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

from django.db import connection
from django.db.models import QuerySet

from readings.conf import limits
from readings.queries.picking import Ids, picked_sql
from readings.rules import (
    IN_FLIGHT,
    Facts,
    Limits,
    ReadingCode,
    ReadingStatus,
    Verification,
    judge_again,
    reason_of,
)

FETCH_CHUNK = 5_000
"""Rows fetched at a time from a server-side cursor."""


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
class FoundReadings:
    """Every id asked for, once, on one side or the other; both in the order of ids."""

    mintable: list[MintableRow]
    excluded: list[Excluded]


class _Row(NamedTuple):
    reading_id: UUID
    kwh_amount: Decimal
    status: str | None
    """``None`` where there is no such reading."""
    code: str
    is_current: bool
    released: bool
    verification: str
    meter_serial: str
    owner_user_id: str | None
    wallet_address: str | None
    allow_off_curve: bool | None
    allow_program_owned: bool | None


_WALK = """
SELECT picked.id, r.kwh_amount, r.status, r.code, r.is_current, r.released_at IS NOT NULL,
       r.verification, m.serial, o.user_id, w.address, w.allow_off_curve, w.allow_program_owned
  FROM (SELECT DISTINCT id FROM ({picked}) AS named (id)) AS picked
  LEFT JOIN readings_meterreading r ON r.id = picked.id
  LEFT JOIN readings_meter m ON m.id = r.meter_id
  LEFT JOIN readings_owner o ON o.id = r.owner_id
  LEFT JOIN readings_wallet w ON w.owner_id = r.owner_id AND w.retired_at IS NULL
 ORDER BY w.address COLLATE "C", o.user_id COLLATE "C", picked.id
"""


def walk_for_minting(
    ids: Ids, *, allowed: frozenset[ReadingStatus]
) -> Iterator[MintableRow | Excluded]:
    """Says of each reading, once, whether it may be minted now; locks nothing.

    What can change since intake is judged again: the owner's wallet and the largest reading. They
    come in the order of wallet, owner and id, from a server-side cursor if they are many.

    Args:
        ids: Any number, in any order.
        allowed: The statuses that the caller mints: pending, and for staff retrying and failed.
    """
    now_allowed = limits()
    for row in _walk(ids):
        yield _answer(row, allowed, now_allowed)


def look_for_minting(ids: Sequence[UUID], *, allowed: frozenset[ReadingStatus]) -> FoundReadings:
    """As ``walk_for_minting``, all at once, for a few."""
    found = FoundReadings(mintable=[], excluded=[])
    for answer in sorted(
        walk_for_minting(ids, allowed=allowed), key=lambda each: each.reading_id.bytes
    ):
        if isinstance(answer, MintableRow):
            found.mintable.append(answer)
        else:
            found.excluded.append(answer)
    return found


def _walk(ids: Ids) -> Iterator[_Row]:
    picked, params = picked_sql(ids)
    few = not isinstance(ids, QuerySet) and len(ids) <= FETCH_CHUNK
    with connection.cursor() if few else connection.chunked_cursor() as cursor:
        cursor.execute(_WALK.format(picked=picked), params)
        while rows := cursor.fetchmany(FETCH_CHUNK):
            yield from (_Row(*row) for row in rows)


def _answer(
    row: _Row, allowed: frozenset[ReadingStatus], now_allowed: Limits
) -> MintableRow | Excluded:
    if row.status is None:
        return _exclude(row.reading_id, ReadingCode.UNKNOWN_READING)
    code = _standing_against(row, ReadingStatus(row.status), allowed)
    code = code or _judged_again(row, now_allowed)
    return _exclude(row.reading_id, code) if code else _mintable(row)


def _standing_against(row: _Row, status: ReadingStatus, allowed: frozenset[ReadingStatus]) -> str:
    """The code by which what is stored speaks against minting, or nothing."""
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
