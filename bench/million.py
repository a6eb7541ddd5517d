"""A database as it is after a month of minting: a million readings, and all that became of them.

Written by COPY, one sweep of all meters at a time, consistent with every constraint and with what
the journal derives; the same for the same seed and time. The bytes of the transactions are noise
of the right length, and their mint is on no chain: what is asked of such a database is how long
lists and requests take, not what the chain says.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random

from django.db import connection, transaction

from bench.copying import Pen, address
from bench.outcomes import GENESIS, MINT, PAYER, Batch, Fate, Holder, Measured, paid, taken
from minting.models import BatchSource, MintInfo
from readings.demo import DISTRICTS, FAMILY_NAMES, GIVEN_NAMES
from readings.models import Meter, MeterAssignment, MeterReading, Owner, Wallet
from readings.rules import PeriodKind, ReadingCode, ReadingSource, ReadingStatus, Verification

READINGS = 1_100_000
"""Of which a million have results."""

READINGS_A_METER = 20
SWEEP = timedelta(hours=36)
"""Between two readings of one meter: twenty of them cover a month."""

VACUUMS, UNSEEN_PAGES = 20, 50
"""Tries, and pages that may stay unseen."""
QUARTER = timedelta(minutes=15)
FILE = 1_000
"""Readings that come in together, and share their time."""

BATCH_SIZES = {50: 45, 500: 30, 1_000: 15, 5_000: 10}
"""Readings of a batch, and how often: clients name 50, polls and staff take what there is."""

EXISTING_A_TRANSACTION, NEW_A_TRANSACTION = 60, 10
"""Wallets that one v1 transaction pays, with and without a token account."""

_R, _C = ReadingStatus, ReadingCode
MINTED, PENDING = Fate(_R.MINTED), Fate(_R.PENDING)
OVERLAPPING = Fate(_R.HELD, _C.OVERLAPPING_PERIOD)
UNPAID: dict[Fate, float] = {
    Fate(_R.NOT_MINTED, _C.CONSUMPTION): 2.0,
    Fate(_R.HELD, _C.READING_TOO_LARGE): 0.3,
    Fate(_R.HELD, _C.READING_TOO_OLD): 0.4,
    OVERLAPPING: 0.2,
    Fate(_R.HELD, _C.UNVERIFIED, Verification.UNVERIFIED): 0.6,
    Fate(_R.RETRYING, "node_unreachable"): 0.2,
    Fate(_R.FAILED, "account_frozen"): 0.5,
}
FATES = {
    **UNPAID,
    PENDING: 0.3,
    Fate(_R.MINTED, "", Verification.LEGACY_UNVERIFIED): 0.5,
    MINTED: 95.0,
}
"""Per cent of all sweeps but the newest."""
NEWEST_FATES = {**UNPAID, PENDING: 40.0, MINTED: 55.8}
OPEN_FATES = {**NEWEST_FATES, Fate(_R.MINTING): 8.0, Fate(_R.IN_DOUBT): 0.4}
"""Of the newest, where work is left open."""
PAYABLE = {_R.PENDING, _R.MINTING, _R.IN_DOUBT, _R.RETRYING, _R.FAILED, _R.MINTED}

WALLETLESS, CONTRACTS, CANCELLED, UNCONFIRMED = 0.02, 0.002, 0.02, 0.2
"""Shares: of owners without a wallet, and with an exception; of what is pending and was cancelled;
of the newest batches that are not final yet."""


@dataclass(frozen=True, slots=True)
class Filled:
    """Rows written, by table, and readings by status."""

    rows: dict[str, int]
    statuses: Counter[str]


def fill(
    readings: int = READINGS,
    *,
    seed: int = 1,
    newest: datetime | None = None,
    open_work: bool = True,
) -> Filled:
    """Fills empty tables, and analyzes them.

    Args:
        readings: How many at least; there are ``READINGS_A_METER`` for each owner and meter.
        seed: Another makes other rows.
        newest: When the newest period ended; the last quarter hour unless given.
        open_work: Whether some of it is being minted or in doubt. Its slices are parked for years,
            so that no worker touches them, but recovery asks a node about its transactions.
    """
    now = newest or datetime.now(UTC)
    end = now.replace(minute=now.minute // 15 * 15, second=0, microsecond=0)
    filling = _Filling(Pen(Random(seed)), end, open_work)
    holders = filling.register(-(-readings // READINGS_A_METER), seed)
    for age in reversed(range(READINGS_A_METER)):
        with transaction.atomic():
            filling.sweep(holders, age)
            filling.pen.write()
    _vacuum()
    rows = {model._meta.db_table: table.rows for model, table in filling.pen.tables.items()}
    return Filled(rows, filling.statuses)


def _vacuum() -> None:
    """Writes what planners and index-only scans read, as a table in use has it.

    Inside a transaction, as tests are, only statistics. What is not on its way to the disk yet (for
    which tests' servers do not wait), or newer than a snapshot that somebody holds, does not count
    as visible to all: then once more.
    """
    with connection.cursor() as cursor:
        if connection.in_atomic_block:
            cursor.execute("ANALYZE")
            return
        for _ in range(VACUUMS):
            cursor.execute("VACUUM ANALYZE")
            cursor.execute(
                "SELECT relpages - relallvisible FROM pg_class WHERE oid = %s::regclass",
                [MeterReading._meta.db_table],
            )
            if cursor.fetchone()[0] <= UNSEEN_PAGES:
                return
            time.sleep(1.0)


@dataclass
class _Filling:
    pen: Pen
    newest: datetime
    open_work: bool
    statuses: Counter[str] = field(default_factory=Counter)
    ended: dict[str, datetime] = field(default_factory=dict)
    """When a meter's last reading did."""

    # ------------------------------------------------------------------ who there is

    def register(self, count: int, seed: int) -> list[Holder]:
        """Owners, wallets, meters, and the mint."""
        MintInfo.objects.get_or_create(
            genesis_hash=GENESIS,
            address=MINT,
            defaults={
                "token_program": address("token program"),
                "decimals": 9,
                "account_size": 165,
                "mint_authority": PAYER,
            },
        )
        with transaction.atomic():
            holders = [self._holder(number, seed) for number in range(count)]
            self.pen.write()
        return holders

    def _holder(self, number: int, seed: int) -> Holder:
        pen, since = self.pen, self.newest - timedelta(days=400) + timedelta(seconds=number)
        given, family = pen.rng.choice(GIVEN_NAMES), pen.rng.choice(FAMILY_NAMES)
        user_id = f"user-{seed}-{number:07d}"
        owner, meter = pen.uuid7(since), pen.uuid7(since)
        pen.add(
            Owner,
            id=owner,
            user_id=user_id,
            name=f"{given} {family}",
            email=f"{given}.{family}.{number}@example.org".lower(),
            created_at=since,
        )
        pen.add(
            Meter,
            id=meter,
            serial=f"SM{seed:02d}-{number:07d}",
            name=f"Roof of {given} {family}",
            location=f"{pen.rng.choice(DISTRICTS)}, Bangkok",
            registered_at=since,
        )
        assigned = {"meter_id": meter, "owner_id": owner, "starts_at": since}
        pen.add(MeterAssignment, id=pen.uuid7(since), **assigned)
        return Holder(owner, user_id, meter, self._wallet(owner, user_id, since))

    def _wallet(self, owner: str, user_id: str, since: datetime) -> str:
        """The current wallet; some have another before it, some had only that one."""
        pen, draw, later = self.pen, self.pen.rng.random(), since + timedelta(days=30)
        if draw < 2 * WALLETLESS:
            pen.add(
                Wallet,
                id=pen.uuid7(since),
                owner_id=owner,
                address=address(f"{user_id} before"),
                registered_at=since,
                retired_at=later,
            )
        if draw < WALLETLESS:
            return ""
        is_contract = draw > 1 - CONTRACTS
        pen.add(
            Wallet,
            id=pen.uuid7(later),
            owner_id=owner,
            address=address(user_id),
            registered_at=later,
            allow_off_curve=is_contract,
            exception_reason="A multisig of the residents" if is_contract else "",
        )
        return address(user_id)

    # ------------------------------------------------------------------ what was measured

    def sweep(self, holders: Sequence[Holder], age: int) -> None:
        """One reading of each meter, and what became of them; at age 0 the newest."""
        end = self.newest - age * SWEEP
        readings = self._measured(holders, age)
        self._mint(readings, end + timedelta(minutes=5), age)
        for number, reading in enumerate(readings):
            self._tell(reading, end, end + timedelta(seconds=60 + number // FILE))

    def _measured(self, holders: Sequence[Holder], age: int) -> list[Measured]:
        fates = FATES if age else OPEN_FATES if self.open_work else NEWEST_FATES
        if not self.ended:  # nothing to overlap
            fates = {fate: share for fate, share in fates.items() if fate != OVERLAPPING}
        drawn = self.pen.rng.choices(list(fates), list(fates.values()), k=len(holders))
        judged = map(_judged, drawn, holders)
        return [
            Measured(self.pen.uuid4(), holder, self._wh(fate), fate)
            for holder, fate in zip(holders, judged, strict=True)
        ]

    def _wh(self, fate: Fate) -> int:
        if fate.code == ReadingCode.CONSUMPTION:
            return -self.pen.rng.randrange(1_500)
        too_much = 100_000 if fate.code == ReadingCode.READING_TOO_LARGE else 0
        return too_much + self.pen.rng.randrange(1, 2_500)

    def _tell(self, reading: Measured, end: datetime, submitted: datetime) -> None:
        fate = reading.fate
        if fate.code == ReadingCode.READING_TOO_OLD:
            end -= timedelta(days=8)
        elif fate.code == ReadingCode.OVERLAPPING_PERIOD:
            end = self.ended[reading.holder.meter] + timedelta(minutes=5)
        self.ended[reading.holder.meter] = end
        is_legacy = fate.verification is Verification.LEGACY_UNVERIFIED
        self.statuses[fate.status.value] += 1
        self.pen.add(
            MeterReading,
            id=reading.id,
            meter_id=reading.holder.meter,
            owner_id=reading.holder.id,
            kwh_amount=Decimal(reading.wh).scaleb(-3),
            period_start=end - QUARTER,
            period_end=end,
            period_kind=PeriodKind.INTERVAL,
            status=fate.status,
            code=fate.code,
            last_result_id=reading.last_result,
            verification=fate.verification,
            external_id=f"file-{reading.id[:12]}" if reading.wh % 5 == 0 else "",
            source=ReadingSource.GATEWAY if is_legacy else ReadingSource.API,
            submitted_at=submitted,
        )

    # ------------------------------------------------------------------ what became of it

    def _mint(self, readings: Sequence[Measured], at: datetime, age: int) -> None:
        is_first, rng = age == READINGS_A_METER - 1, self.pen.rng
        wallets = NEW_A_TRANSACTION if is_first else EXISTING_A_TRANSACTION
        left = iter(paid(readings))
        sizes, shares = list(BATCH_SIZES), list(BATCH_SIZES.values())
        while part := taken(left, rng.choices(sizes, shares)[0]):
            at += timedelta(seconds=5)
            late = age == 0 and self.open_work and rng.random() < UNCONFIRMED
            Batch(self.pen, part, at, wallets, new_accounts=is_first, confirmed=late).write()
        if age == 0:
            pending = [each for each in readings if each.fate == PENDING]
            if freed := pending[: int(len(pending) * CANCELLED)]:
                Batch(self.pen, freed, at, wallets, source=BatchSource.ADMIN).write()


def _judged(drawn: Fate, holder: Holder) -> Fate:
    """Nobody is paid without a wallet."""
    if holder.wallet or drawn.status not in PAYABLE:
        return drawn
    return Fate(_R.HELD, _C.NO_WALLET)
