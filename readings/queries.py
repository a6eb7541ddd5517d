"""The one way out to minting: what may be minted, for whom, and what became of it.

``lock_for_minting`` and ``walk_for_minting`` are how a batch begins; ``set_status`` is how
minting's journal tells what became of each reading. All take any number of ids in a constant number
of queries (``set_status``: of chunks), and none holds them all in memory.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple, NewType
from uuid import UUID

from django.db import connection
from django.db.models import QuerySet, Sum

from readings.conf import limits
from readings.errors import UnknownReading
from readings.models import MeterReading, MeterReadingQuerySet, Wallet, WalletChange
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
"""Rows fetched at a time from a server-side cursor."""

Ids = Sequence[UUID] | QuerySet[Any, Any]
"""Ids of readings: named by a caller, or a query of this one column, which then never leave the
database."""


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


class ChangedWallet(NamedTuple):
    """A wallet that took the place of its owner's last one."""

    address: str
    owner: str
    """Name and user id."""
    since: datetime
    readings: int
    """That would be paid there."""


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

_COUNT_WALLETS = """
SELECT count(DISTINCT w.address) FROM readings_wallet w
 WHERE w.retired_at IS NULL AND w.owner_id IN (
       SELECT r.owner_id FROM readings_meterreading r WHERE r.id IN ({picked})
 )
"""

_WALLETS_CHANGED = """
WITH changed AS MATERIALIZED (
    SELECT w.address, w.owner_id, o.name || ' (' || o.user_id || ')' AS owner, w.registered_at
      FROM readings_wallet w JOIN readings_owner o ON o.id = w.owner_id
     WHERE w.retired_at IS NULL AND w.registered_at >= %s
       AND EXISTS (SELECT FROM readings_wallet b WHERE b.owner_id = w.owner_id AND b.id <> w.id)
)
SELECT c.address, c.owner, c.registered_at, count(*)
  FROM changed c
  JOIN readings_meterreading r ON r.owner_id = c.owner_id
 WHERE r.id IN ({picked}) AND r.status = ANY(%s)
 GROUP BY c.address, c.owner, c.registered_at
 ORDER BY c.registered_at DESC, c.address
"""

# Rows are locked in the order of ids by whoever locks several, so that two never wait for each
# other; NO KEY, so that inserting a result that refers to the reading does not wait either.
_LOCK = """
SELECT count(*) FROM (
    SELECT FROM readings_meterreading WHERE id IN ({picked}) ORDER BY id FOR NO KEY UPDATE
) AS locked
"""

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
   AND (r.status, r.code, r.last_result_id) IS DISTINCT FROM (v.status, v.code, v.result_id)
"""


def lock_for_minting(ids: Ids) -> int:
    """Locks readings until the transaction ends; returns how many there are.

    Args:
        ids: Any number, in any order. A query is asked anew by everything that takes it, so it
            must find the same as long as the transaction lasts.
    """
    _require_transaction()
    picked, params = _picked(ids)
    with connection.cursor() as cursor:
        cursor.execute(_LOCK.format(picked=picked), params)
        return int(cursor.fetchone()[0])


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


def count_wallets(ids: Ids) -> int:
    """How many wallets the owners of these readings are paid at now."""
    chosen, params = _picked(ids)
    with connection.cursor() as cursor:
        cursor.execute(_COUNT_WALLETS.format(picked=chosen), params)
        return int(cursor.fetchone()[0])


def wallets_changed(
    ids: Ids, *, since: datetime, allowed: frozenset[ReadingStatus]
) -> list[ChangedWallet]:
    """Which of the wallets that these readings are paid at replaced another one lately.

    Args:
        ids: Any number.
        since: From when on.
        allowed: The statuses that the caller mints.

    Returns:
        The latest first.
    """
    chosen, params = _picked(ids)
    statuses = sorted(status.value for status in allowed)
    with connection.cursor() as cursor:
        cursor.execute(_WALLETS_CHANGED.format(picked=chosen), [since, *params, statuses])
        return [ChangedWallet(*row) for row in cursor.fetchall()]


def waiting_wallet_changes() -> int:
    """Requests for another wallet that wait for a second person."""
    return WalletChange.objects.waiting().count()


def lock_retrying(results: Mapping[UUID, UUID]) -> set[UUID]:
    """Locks those of the readings that are ``retrying`` because of the result given for each."""
    _require_transaction()
    rows = (
        MeterReading.objects.select_for_update(no_key=True)
        .filter(id__in=results, status=ReadingStatus.RETRYING)
        .order_by("id")
    )
    return {id_ for id_, last in rows.values_list("id", "last_result_id") if last == results[id_]}


def pending(*, min_owner_kwh: Decimal | None = None) -> MeterReadingQuerySet:
    """All that ``--pending`` and the poller mean.

    Args:
        min_owner_kwh: Leaves out owners whose pending readings sum up to less.
    """
    pending = MeterReading.objects.mintable()
    if min_owner_kwh is None:
        return pending
    owners = pending.values("owner").annotate(kwh=Sum("kwh_amount")).filter(kwh__gte=min_owner_kwh)
    return pending.filter(owner__in=owners.values("owner"))


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

    Every reading exists: a result refers to it. What is so already is not written again, as when
    a confirmed result becomes final.
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


def _picked(ids: Ids) -> tuple[str, Sequence[Any]]:
    """SQL that selects the ids, and its parameters."""
    if isinstance(ids, QuerySet):
        return ids.order_by().query.sql_with_params()
    return "SELECT unnest(%s::uuid[])", [list(ids)]


def _walk(ids: Ids) -> Iterator[_Row]:
    picked, params = _picked(ids)
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
