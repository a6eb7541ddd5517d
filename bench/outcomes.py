"""Batches as the journal leaves them: results, transactions, slices, counts that agree."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import groupby, islice
from typing import Any, NamedTuple

from bench.copying import Pen, address, binary
from minting.engine.states import (
    BatchStatus,
    ResultStatus,
    SliceStatus,
    TransactionStatus,
    batch_status,
)
from minting.models import BatchSource, MintBatch, MintResult, MintSlice, MintTransaction
from readings.rules import ReadingStatus, Verification

GENESIS, MINT, PAYER = (address(name) for name in ("genesis", "mint", "authority"))
NETWORK_FEE, RENT = 5_000, 2_039_280
SLOTS_A_SECOND = 2.5
SETTLED = timedelta(seconds=20)
FOR_YEARS = timedelta(days=3_650)

FAILED_BEFORE, DEAD_BEFORE = 0.004, 0.01
"""Shares: readings that were minted by a retry; transactions after one that was proven dead."""

FAILURES = {
    "node_unreachable": "No node answers",
    "account_frozen": "The wallet's token account is frozen",
    "cancelled": "Cancelled by operator before anything was signed",
}
_S, _R = ResultStatus, ReadingStatus


class Fate(NamedTuple):
    """What becomes of a reading."""

    status: ReadingStatus
    code: str = ""
    verification: Verification = Verification.VERIFIED


@dataclass(frozen=True, slots=True)
class Holder:
    """An owner, with the one meter that they have."""

    id: str
    user_id: str
    meter: str
    wallet: str
    """Empty: nobody to pay."""


@dataclass(slots=True)
class Measured:
    """A reading that is about to be written."""

    id: str
    holder: Holder
    wh: int
    fate: Fate
    last_result: str | None = None

    @property
    def base_units(self) -> int:
        """A token a kWh, nine decimals."""
        return self.wh * 10**6


@dataclass
class Batch:
    """One batch, written as a whole by ``write``."""

    pen: Pen
    readings: Sequence[Measured]
    at: datetime
    wallets: int
    """That one transaction pays."""
    new_accounts: bool = False
    confirmed: bool = False
    """Landed, not final yet."""
    source: BatchSource = BatchSource.API
    retry_of: str | None = None
    counts: Counter[ResultStatus] = field(default_factory=Counter)
    transactions: int = 0
    accounts: int = 0
    wh: int = 0

    def write(self) -> None:
        """The batch, and the retry of what failed in it for a while."""
        self.id, self.slice = self.pen.uuid7(self.at), self.pen.uuid7(self.at)
        again: list[Measured] = []
        landing: list[Measured] = []
        doubtful: list[Measured] = []
        for each in sorted(self.readings, key=lambda one: one.holder.wallet):
            if each.fate.status is _R.MINTED:
                failed = self.retry_of is None and self.pen.rng.random() < FAILED_BEFORE
                (again if failed else landing).append(each)
            elif each.fate.status is _R.IN_DOUBT:
                doubtful.append(each)
            elif each.fate.status is _R.MINTING:
                self._result(each, _S.PENDING)
            else:
                self._fail(each)
        for each in again:
            self._ended(each, _S.FAILED, "node_unreachable")
        for together in _loads(landing, self.wallets):
            self._landed(together)
        for together in _loads(doubtful, self.wallets):
            self._doubtful(together)
        self._rows()
        if again:
            later = self.at + timedelta(minutes=6)
            retried = {"source": BatchSource.RETRY, "retry_of": self.id}
            Batch(self.pen, again, later, self.wallets, confirmed=self.confirmed, **retried).write()  # type: ignore[arg-type]

    def _fail(self, reading: Measured) -> None:
        status, code, _ = reading.fate
        if status is _R.PENDING:
            self._ended(reading, _S.CANCELLED, "cancelled")
        elif status is _R.RETRYING:
            self._ended(reading, _S.FAILED, code, retry_at=self.at + timedelta(hours=6))
        else:
            self._ended(reading, _S.FAILED, code, permanent=True)

    def _ended(self, reading: Measured, status: ResultStatus, code: str, **more: Any) -> None:
        why = {"error_code": code, "error": FAILURES[code], "settled_at": self.at + SETTLED}
        self._result(reading, status, **why, **more)

    def _landed(self, together: Sequence[Measured]) -> None:
        if self.pen.rng.random() < DEAD_BEFORE:
            evidence = '{"height": 400, "answers": [null, null, null]}'
            self._transaction(together, TransactionStatus.EXPIRED, evidence=evidence)
        slot = int(self.at.timestamp() * SLOTS_A_SECOND)
        final = {"finalized_at": self.at + SETTLED, "chain_slot": slot, "audited_at": self.at}
        status = TransactionStatus.CONFIRMED if self.confirmed else TransactionStatus.FINALIZED
        id_, signature = self._transaction(
            together,
            status,
            slot=slot,
            confirmed_at=self.at + SETTLED / 10,
            **({} if self.confirmed else final),
        )
        for each in together:
            self._result(
                each,
                _S.CONFIRMED if self.confirmed else _S.FINALIZED,
                transaction_id=id_,
                tx_signature=signature,
                slot=slot,
                settled_at=self.at + SETTLED,
                retry_number=1 if self.retry_of else 0,
            )
        self.transactions += 1
        self.accounts += self._new(together)

    def _doubtful(self, together: Sequence[Measured]) -> None:
        since = self.at + timedelta(minutes=2)
        id_, _ = self._transaction(together, TransactionStatus.SENT, doubted_at=since)
        for each in together:
            self._result(each, _S.IN_DOUBT, transaction_id=id_)
        self.transactions += 1

    def _new(self, together: Sequence[Measured]) -> int:
        return len({each.holder.wallet for each in together}) if self.new_accounts else 0

    def _transaction(
        self, together: Sequence[Measured], status: TransactionStatus, **more: Any
    ) -> tuple[str, str]:
        id_, signature = self.pen.uuid7(self.at), self.pen.signature()
        rng, wallets = self.pen.rng, len({each.holder.wallet for each in together})
        new = self._new(together)
        slot = int(self.at.timestamp() * SLOTS_A_SECOND)
        self.pen.add(
            MintTransaction,
            id=id_,
            batch_id=self.id,
            slice_id=self.slice,
            status=status,
            signature=signature,
            raw=binary(rng.randbytes(196 + 51 * wallets)),
            version="1",
            genesis_hash=GENESIS,
            mint_address=MINT,
            fee_payer=PAYER,
            blockhash=address(f"block {slot}"),
            blockhash_slot=slot - 5,
            last_valid_block_height=slot + 145,
            memo_root=binary(rng.randbytes(32)),
            reading_ids="{" + ",".join(sorted(each.id for each in together)) + "}",
            base_units=sum(each.base_units for each in together),
            new_accounts=new,
            network_fee_lamports=NETWORK_FEE,
            rent_lamports=new * RENT,
            signed_at=self.at,
            sent_at=self.at,
            **more,
        )
        return id_, signature

    def _result(self, reading: Measured, status: ResultStatus, **more: Any) -> None:
        id_ = self.pen.uuid7(self.at)
        self.counts[status] += 1
        self.wh += reading.wh
        reading.last_result = id_
        self.pen.add(
            MintResult,
            id=id_,
            batch_id=self.id,
            slice_id=self.slice,
            reading_id=reading.id,
            user_id=reading.holder.user_id,
            wallet_address=reading.holder.wallet,
            kwh_amount=f"{reading.wh // 1000}.{reading.wh % 1000:03d}",
            base_units=reading.base_units,
            status=status,
            **more,
        )

    def _rows(self) -> None:
        """The batch and its slice, by what was counted."""
        ended = self.counts[_S.FAILED] + self.counts[_S.CANCELLED]
        minted = self.counts[_S.CONFIRMED] + self.counts[_S.FINALIZED]
        is_open = ended + minted < self.counts.total()
        begun = bool(self.transactions or ended)
        status = batch_status(self.counts) if begun else BatchStatus.QUEUED
        fee, rent = self.transactions * NETWORK_FEE, self.accounts * RENT
        partial = status is BatchStatus.PARTIALLY_SUCCEEDED
        self.pen.add(
            MintBatch,
            id=self.id,
            status=status,
            source=self.source,
            created_at=self.at,
            started_at=self.at + SETTLED / 10 if begun else None,
            finished_at=None if is_open else self.at + SETTLED,
            cancel_requested_at=self.at if self.counts[_S.CANCELLED] else None,
            retry_of_id=self.retry_of,
            genesis_hash=GENESIS,
            mint_address=MINT,
            total_readings=self.counts.total(),
            total_kwh=f"{self.wh // 1000}.{self.wh % 1000:03d}",
            successful_mints=minted,
            failed_mints=ended,
            excluded="[]",
            error_code="partially_successful" if partial else "",
            fee_estimate_lamports=fee,
            rent_estimate_lamports=rent,
            fee_paid_lamports=fee,
            rent_paid_lamports=rent,
        )
        self.pen.add(
            MintSlice,
            id=self.slice,
            batch_id=self.id,
            number=0,
            status=SliceStatus.QUEUED if is_open else SliceStatus.DONE,
            parked_until=self.at + FOR_YEARS if is_open else None,
            parked_reason="Seeded: nobody mints it" if is_open else "",
        )


def _loads(readings: Sequence[Measured], wallets: int) -> Iterator[list[Measured]]:
    """What each transaction pays: so many wallets, all readings of each."""
    by_wallet = (list(own) for _, own in groupby(readings, lambda each: each.holder.wallet))
    while some := list(islice(by_wallet, wallets)):
        yield [each for own in some for each in own]


def taken(readings: Iterator[Measured], size: int) -> list[Measured]:
    """The next ``size`` of them, or what is left."""
    return list(islice(readings, size))


def paid(readings: Iterable[Measured]) -> list[Measured]:
    """Those that were tried."""
    tried = {_R.MINTING, _R.IN_DOUBT, _R.RETRYING, _R.FAILED, _R.MINTED}
    return [each for each in readings if each.fate.status in tried]
