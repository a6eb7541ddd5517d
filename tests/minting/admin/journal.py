"""Batches as the journal leaves them, written straight into the tables: no chain is needed."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha512
from itertools import count
from typing import Any

from django.utils import timezone
from solders.signature import Signature

from minting.engine.states import BatchStatus, ResultStatus, SliceStatus, TransactionStatus
from minting.models import BatchSource, MintBatch, MintInfo, MintResult, MintSlice, MintTransaction
from readings.models import MeterReading
from readings.rules import ReadingStatus
from tests.factories.readings import MeterReadingFactory, address

GENESIS = address("genesis")
MINT = address("mint")
_numbers = count()


def mint() -> MintInfo:
    info, _ = MintInfo.objects.get_or_create(
        genesis_hash=GENESIS,
        address=MINT,
        defaults={
            "token_program": address("token program"),
            "decimals": 9,
            "account_size": 165,
            "mint_authority": address("authority"),
        },
    )
    return info


def open_batch(*, readings: int = 1, excluded: list[dict[str, str]] | None = None) -> MintBatch:
    """Queued; nothing is signed."""
    batch = _batch(BatchStatus.QUEUED, readings, excluded=excluded or [])
    slice_ = MintSlice.objects.create(batch=batch, number=0)
    for _ in range(readings):
        _result(batch, slice_, status=ResultStatus.PENDING.value)
    return batch


def minted_batch(*, readings: int = 1) -> MintBatch:
    """All landed, in one transaction."""
    batch = _batch(BatchStatus.SUCCEEDED, readings, successful_mints=readings, **_over())
    slice_ = MintSlice.objects.create(batch=batch, number=0, status=SliceStatus.DONE.value)
    rows = [MeterReadingFactory(status=ReadingStatus.MINTED.value) for _ in range(readings)]
    landed = transaction(batch, slice_, rows, status=TransactionStatus.FINALIZED.value, slot=5)
    for row in rows:
        _result(
            batch,
            slice_,
            row,
            status=ResultStatus.FINALIZED.value,
            transaction=landed,
            tx_signature=landed.signature,
            slot=5,
        )
    return batch


def failed_batch(*, readings: int = 1) -> MintBatch:
    """Nothing landed: proven dead, and no attempt is left."""
    batch = _batch(BatchStatus.FAILED, readings, failed_mints=readings, **_over())
    slice_ = MintSlice.objects.create(batch=batch, number=0, status=SliceStatus.DONE.value)
    rows = [MeterReadingFactory(status=ReadingStatus.FAILED.value) for _ in range(readings)]
    evidence = {"height": 400, "answers": [None, None, None]}
    transaction(batch, slice_, rows, status=TransactionStatus.EXPIRED.value, evidence=evidence)
    for row in rows:
        _result(
            batch,
            slice_,
            row,
            status=ResultStatus.FAILED.value,
            error_code="frozen",
            error="The token account is frozen",
        )
    return batch


def doubtful_batch() -> MintBatch:
    """One reading whose transaction is neither landed nor dead."""
    batch = _batch(BatchStatus.RUNNING, 1)
    slice_ = MintSlice.objects.create(batch=batch, number=0)
    row = MeterReadingFactory(status=ReadingStatus.IN_DOUBT.value)
    sent = transaction(
        batch, slice_, [row], status=TransactionStatus.SENT.value, doubted_at=timezone.now()
    )
    _result(batch, slice_, row, status=ResultStatus.IN_DOUBT.value, transaction=sent)
    return batch


def transaction(
    batch: MintBatch, slice_: MintSlice, rows: Sequence[Any], **fields: Any
) -> MintTransaction:
    number = next(_numbers)
    return MintTransaction.objects.create(
        batch=batch,
        slice=slice_,
        signature=str(Signature(sha512(f"test transaction {number}".encode()).digest())),
        raw=b"bytes",
        version="1",
        genesis_hash=GENESIS,
        mint_address=MINT,
        fee_payer=address("authority"),
        blockhash=address("blockhash"),
        blockhash_slot=1,
        last_valid_block_height=150,
        memo_root=bytes(32),
        reading_ids=[row.pk for row in rows],
        base_units=250_000_000 * len(rows),
        network_fee_lamports=5_000,
        **fields,
    )


def _batch(status: BatchStatus, readings: int, **fields: Any) -> MintBatch:
    mint()
    return MintBatch.objects.create(
        status=status.value,
        source=BatchSource.ADMIN.value,
        genesis_hash=GENESIS,
        mint_address=MINT,
        total_readings=readings,
        fee_estimate_lamports=5_000,
        rent_estimate_lamports=2_039_280,
        **fields,
    )


def _result(
    batch: MintBatch, slice_: MintSlice, row: MeterReading | None = None, **fields: Any
) -> MintResult:
    reading = row or MeterReadingFactory(status=ReadingStatus.MINTING.value)
    result = MintResult.objects.create(
        batch=batch,
        slice=slice_,
        reading=reading,
        user_id=reading.owner.user_id,
        wallet_address=reading.owner.wallets.get().address,
        kwh_amount=reading.kwh_amount,
        base_units=250_000_000,
        **fields,
    )
    MeterReading.objects.filter(pk=reading.pk).update(last_result_id=result.id)
    return result


def _over() -> dict[str, Any]:
    now = timezone.now()
    return {"started_at": now, "finished_at": now}
