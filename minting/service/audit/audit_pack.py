"""Writing the audit pack of a batch, as the database shows it at one moment.

The same final batch gives the same bytes whenever it is written: nothing in a pack is about its
writing. Owners' names and ids stay out; the wallet is whom the chain knows.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from tempfile import TemporaryFile
from typing import IO, Any
from uuid import UUID

import structlog
from django.db import connection, transaction
from django.db.models import QuerySet
from solders.pubkey import Pubkey

from minting.engine.approval import Decision
from minting.engine.audit import read_transaction
from minting.engine.audit_pack import (
    FORMAT,
    MAX_TEXT,
    VERSION,
    PackBatch,
    PackEnd,
    PackExcluded,
    PackLine,
    PackReading,
    PackTransaction,
    PackUnpaid,
    PackWriter,
)
from minting.engine.errors import PackRefused
from minting.engine.states import SUCCEEDED_RESULTS
from minting.models import MintApproval, MintBatch, MintInfo, MintResult, MintTransaction

log = structlog.get_logger(__name__)

CHUNK = 2_000
"""Rows fetched at a time from a server-side cursor."""

_COLUMNS = (
    "reading_id",
    "wallet_address",
    "base_units",
    "kwh_amount",
    "reading__meter__serial",
    "reading__period_start",
    "reading__period_end",
)

_EXCLUDED = """
SELECT item->>'reading_id', item->>'code', item->>'reason'
  FROM minting_mintbatch, jsonb_array_elements(excluded) WITH ORDINALITY AS each (item, place)
 WHERE id = %s
 ORDER BY place
"""


def pack_name(batch_id: UUID) -> str:
    """What a pack's file is called where nobody named it."""
    return f"audit-pack-{batch_id}.jsonl"


def write_pack(batch_id: UUID, write: Callable[[bytes], object]) -> PackEnd:
    """Writes the pack of a batch line by line and returns its end, digest included.

    Args:
        batch_id: Of any batch, finished or not.
        write: Takes bytes; called once a line.

    Raises:
        MintBatch.DoesNotExist: There is no such batch; nothing was written.
        PackRefused: Journal and results do not fit each other; what was written has no end.
    """
    writer = PackWriter(write)
    with _snapshot():
        for line in _lines(batch_id):
            writer.add(line)
    end = writer.end()
    log.info(
        "audit_pack_written",
        batch_id=str(batch_id),
        transactions=end.transactions,
        paid=end.paid,
        digest=end.digest.hex(),
    )
    return end


def packed(batch_id: UUID) -> IO[bytes]:
    """The pack in a file without a name, to be read from its start; the caller closes it.

    Whoever is slow to fetch it keeps no snapshot of the database open, and what breaks off while it
    is written never looks like a pack.

    Raises:
        MintBatch.DoesNotExist, PackRefused: As ``write_pack``.
    """
    with ExitStack() as stack:
        file = stack.enter_context(TemporaryFile())
        write_pack(batch_id, file.write)
        file.seek(0)
        stack.pop_all()
        return file


@contextmanager
def _snapshot() -> Iterator[None]:
    """One moment for all queries: a batch may be settled while it is read."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        yield


def _lines(batch_id: UUID) -> Iterator[PackLine]:
    batch = MintBatch.objects.defer("excluded").select_related("created_by").get(id=batch_id)
    yield _batch(batch)
    for row in batch.transactions.order_by("id").iterator(chunk_size=CHUNK // 10):
        readings = _readings(row)
        yield _transaction(row)
        yield from readings
    unpaid = batch.results.exclude(status__in=[each.value for each in SUCCEEDED_RESULTS])
    for values in _rows(unpaid, "status", "error_code", "error").iterator(chunk_size=CHUNK):
        yield _unpaid(*values)
    with connection.chunked_cursor() as cursor:
        cursor.execute(_EXCLUDED, [batch_id])
        while rows := cursor.fetchmany(CHUNK):
            yield from (PackExcluded(UUID(id_), code, _cut(why)) for id_, code, why in rows)


def _batch(batch: MintBatch) -> PackBatch:
    mint = MintInfo.objects.get(genesis_hash=batch.genesis_hash, address=batch.mint_address)
    return PackBatch(
        format=FORMAT,
        version=VERSION,
        id=batch.id,
        status=batch.status,
        source=batch.source,
        requested_by=batch.created_by.get_username() if batch.created_by else None,
        approved_by=_approved_by(batch),
        retry_of=batch.retry_of_id,
        created_at=batch.created_at,
        started_at=batch.started_at,
        finished_at=batch.finished_at,
        genesis_hash=batch.genesis_hash,
        mint=batch.mint_address,
        token_program=mint.token_program,
        decimals=mint.decimals,
        total_readings=batch.total_readings,
        successful_mints=batch.successful_mints,
        failed_mints=batch.failed_mints,
        fee_estimate_lamports=batch.fee_estimate_lamports,
        rent_estimate_lamports=batch.rent_estimate_lamports,
        fee_paid_lamports=batch.fee_paid_lamports,
        rent_paid_lamports=batch.rent_paid_lamports,
    )


def _approved_by(batch: MintBatch) -> str | None:
    approval = MintApproval.objects.filter(batch=batch, decision=Decision.APPROVED).first()
    return approval.decided_by.get_username() if approval and approval.decided_by else None


def _transaction(row: MintTransaction) -> PackTransaction:
    return PackTransaction(
        signature=row.signature,
        raw=bytes(row.raw),
        version=row.version,
        status=row.status,
        slot=row.slot,
        error=None if row.error is None else _cut(json.dumps(row.error, sort_keys=True)),
        blockhash=row.blockhash,
        blockhash_slot=row.blockhash_slot,
        last_valid_block_height=row.last_valid_block_height,
        fee_payer=row.fee_payer,
        memo_batch=_memo_batch(row),
        memo_root=bytes(row.memo_root),
        base_units=int(row.base_units),
        new_accounts=row.new_accounts,
        network_fee_lamports=row.network_fee_lamports,
        priority_fee_lamports=row.priority_fee_lamports,
        rent_lamports=row.rent_lamports,
        readings=len(row.reading_ids),
        signed_at=row.signed_at,
    )


def _memo_batch(row: MintTransaction) -> UUID:
    """The batch that the bytes name: another one where a restored database adopted them."""
    try:
        memo = read_transaction(bytes(row.raw), Pubkey.from_string(row.mint_address)).memo
    except ValueError:
        memo = None
    if memo is None:
        raise PackRefused(
            f"The stored bytes of {row.signature} are not ours: reconcile before a pack is written"
        )
    return memo[0]


def _readings(row: MintTransaction) -> list[PackReading]:
    """Its leaves, in the order of the memo's tree; PostgreSQL orders ids by their bytes, too."""
    paid = MintResult.objects.filter(batch=row.batch_id, reading__in=row.reading_ids)
    readings = [
        PackReading(index, id_, wallet, int(units), kwh, meter, start, end)
        for index, (id_, wallet, units, kwh, meter, start, end) in enumerate(_rows(paid))
    ]
    if len(readings) != len(row.reading_ids):
        raise PackRefused(
            f"{row.signature} pays {len(row.reading_ids)} readings, and its batch has results of "
            f"{len(readings)} of them: reconcile before a pack is written"
        )
    return readings


def _rows(results: QuerySet[MintResult], *more: str) -> QuerySet[MintResult, tuple[Any, ...]]:
    return results.order_by("reading").values_list(*_COLUMNS, *more)


def _unpaid(*values: Any) -> PackUnpaid:
    id_, wallet, units, kwh, meter, start, end, status, code, reason = values
    return PackUnpaid(id_, wallet, int(units), kwh, meter, start, end, status, code, _cut(reason))


def _cut(text: str) -> str:
    return text[:MAX_TEXT]
