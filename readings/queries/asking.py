"""What is shown of readings and of the wallets they are paid at."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

from django.db import connection
from django.db.models import Sum

from readings.models import MeterReading, MeterReadingQuerySet, Wallet, WalletChange
from readings.queries.picking import Ids, picked_sql
from readings.rules import (
    ReadingStatus,
)


class ChangedWallet(NamedTuple):
    """A wallet that took the place of its owner's last one."""

    address: str
    owner: str
    """Name and user id."""
    since: datetime
    readings: int
    """That would be paid there."""


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


def count_wallets(ids: Ids) -> int:
    """How many wallets the owners of these readings are paid at now."""
    chosen, params = picked_sql(ids)
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
    chosen, params = picked_sql(ids)
    statuses = sorted(status.value for status in allowed)
    with connection.cursor() as cursor:
        cursor.execute(_WALLETS_CHANGED.format(picked=chosen), [since, *params, statuses])
        return [ChangedWallet(*row) for row in cursor.fetchall()]


def waiting_wallet_changes() -> int:
    """Requests for another wallet that wait for a second person."""
    return WalletChange.objects.waiting().count()


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
