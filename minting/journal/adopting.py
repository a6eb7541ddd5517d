"""What the chain remembers and a restored database does not: taken back into the journal.

The caller has proven that these leaves give the root in the memo of these finalized bytes, and
that the bytes pay them. Adopting inserts the transaction as finalized, makes its readings minted,
and takes them out of whatever unsigned batch they were put into meanwhile. All or nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

import structlog
from django.db.models import F, Max, Q
from django.db.models.functions import Now
from uuid_utils.compat import uuid7

from minting.engine.audit import Paid
from minting.engine.states import (
    LIVE_RESULTS,
    BatchStatus,
    ResultStatus,
    SliceStatus,
    TransactionStatus,
    reading_status,
)
from minting.journal.approving import withdraw_ended
from minting.journal.phase import atomic_phase
from minting.journal.results import lock_slices, move_results, record_inserted
from minting.models import (
    BatchSource,
    MintBatch,
    MintInfo,
    MintResult,
    MintSlice,
    MintTransaction,
    ReconcileCursor,
)
from readings import queries

log = structlog.get_logger(__name__)


class CannotAdoptError(RuntimeError):
    """The database holds something that speaks against it; a person has to look."""


@dataclass(frozen=True, slots=True)
class Adoption:
    """A finalized transaction and its proven leaves."""

    signature: str
    raw: bytes
    version: str
    blockhash: str
    fee_payer: str
    slot: int
    batch_id: UUID
    root: bytes
    paid: tuple[Paid, ...]
    """Ordered by the bytes of the reading ids."""
    new_accounts: int
    network_fee: int
    priority_fee: int
    rent: int

    @property
    def base_units(self) -> int:
        """Sum of the leaves."""
        return sum(each.base_units for each in self.paid)


@dataclass(frozen=True, slots=True)
class Payee:
    """What of a reading is not in its leaf."""

    user_id: str
    kwh_amount: Decimal


@atomic_phase
def record_adopted(adoption: Adoption, *, mint: MintInfo, payees: Mapping[UUID, Payee]) -> bool:
    """Takes one transaction into the journal; False if it is there already.

    Raises:
        CannotAdoptError: A reading is not in the database, or was signed for again meanwhile.
        IntegrityError: Somebody queued one of the readings just now.
    """
    if MintTransaction.objects.filter(signature=adoption.signature).exists():
        return False
    unknown = [each for each in adoption.paid if each.reading_id not in payees]
    if unknown:
        raise CannotAdoptError(
            f"{len(unknown)} of its readings are not in the database, {unknown[0].reading_id} first"
        )
    waiting = _make_way(adoption)
    batch = _batch_for(adoption, mint)
    row = _insert_transaction(adoption, mint, batch)
    columns = {
        "transaction": row,
        "tx_signature": row.signature,
        "slot": row.slot,
        "settled_at": Now(),
    }
    move_results(
        Q(id__in=waiting.values()),
        old={ResultStatus.PENDING},
        new=ResultStatus.FINALIZED,
        columns={**columns, "attempts": F("attempts") + 1},
    )
    rest = [each for each in adoption.paid if each.reading_id not in waiting]
    _insert_results(rest, row, columns, payees)
    record_inserted(
        batch.id,
        len(rest),
        fee=adoption.network_fee + adoption.priority_fee,
        rent=adoption.rent,
    )
    withdraw_ended()
    # The walk has counted it as minted already; now it is the journal's too.
    ReconcileCursor.objects.filter(mint=mint, slot__gte=adoption.slot).update(
        journalled=F("journalled") + adoption.base_units
    )
    log.warning(
        "transaction_adopted",
        batch_id=str(batch.id),
        signature=row.signature,
        readings=len(adoption.paid),
        base_units=adoption.base_units,
    )
    return True


def _make_way(adoption: Adoption) -> dict[UUID, UUID]:
    """Cancels unsigned results of the readings in other batches.

    Returns:
        Pending results of the very batch that the memo names, by reading: these are settled.
    """
    due = {each.reading_id: each for each in adoption.paid}
    live = MintResult.objects.filter(
        reading_id__in=due, status__in=[each.value for each in LIVE_RESULTS]
    )
    lock_slices(live.order_by().values_list("slice_id"))
    waiting: dict[UUID, UUID] = {}
    in_the_way: list[UUID] = []
    for row in live.select_for_update().order_by("id"):
        if row.transaction_id is not None:
            raise CannotAdoptError(
                f"Reading {row.reading_id} was signed for again, in batch {row.batch_id}"
            )
        paid = due[row.reading_id]
        same = (row.wallet_address, int(row.base_units)) == (paid.wallet, paid.base_units)
        if row.batch_id == adoption.batch_id and same:
            waiting[row.reading_id] = row.id
        else:
            in_the_way.append(row.id)
    move_results(
        Q(id__in=in_the_way, transaction__isnull=True),
        old={ResultStatus.PENDING},
        new=ResultStatus.CANCELLED,
        reason=f"Minted before the database was restored, by {adoption.signature}",
        code="already_minted",
        columns={"settled_at": Now()},
    )
    return waiting


def _batch_for(adoption: Adoption, mint: MintInfo) -> MintBatch:
    """The memo's batch; a new one where that ended otherwise meanwhile."""
    batch = MintBatch.objects.filter(id=adoption.batch_id).first()
    if batch is not None:
        ended = MintResult.objects.filter(
            batch=batch, reading_id__in=[each.reading_id for each in adoption.paid]
        ).exclude(status__in=[each.value for each in LIVE_RESULTS])
        lost = {BatchStatus.FAILED, BatchStatus.CANCELLED}
        if BatchStatus(batch.status) not in lost and not ended.exists():
            return batch
    return MintBatch.objects.create(
        id=uuid7() if batch else adoption.batch_id,
        retry_of=batch,
        status=BatchStatus.RUNNING,
        source=BatchSource.CLI,
        started_at=Now(),
        genesis_hash=mint.genesis_hash,
        mint_address=mint.address,
        total_readings=0,
    )


def _insert_transaction(adoption: Adoption, mint: MintInfo, batch: MintBatch) -> MintTransaction:
    last = MintSlice.objects.filter(batch=batch).aggregate(number=Max("number", default=-1))
    return MintTransaction.objects.create(
        batch=batch,
        slice=MintSlice.objects.create(
            batch=batch, number=last["number"] + 1, status=SliceStatus.DONE
        ),
        status=TransactionStatus.FINALIZED,
        signature=adoption.signature,
        raw=adoption.raw,
        version=adoption.version,
        genesis_hash=mint.genesis_hash,
        mint_address=mint.address,
        fee_payer=adoption.fee_payer,
        blockhash=adoption.blockhash,
        # Not known any more, and not needed: it is final. It landed no earlier than its blockhash.
        blockhash_slot=adoption.slot,
        last_valid_block_height=adoption.slot,
        memo_root=adoption.root,
        reading_ids=[each.reading_id for each in adoption.paid],
        base_units=adoption.base_units,
        new_accounts=adoption.new_accounts,
        network_fee_lamports=adoption.network_fee,
        priority_fee_lamports=adoption.priority_fee,
        rent_lamports=adoption.rent,
        slot=adoption.slot,
        chain_slot=adoption.slot,
        confirmed_at=Now(),
        finalized_at=Now(),
    )


def _insert_results(
    paid: Sequence[Paid],
    row: MintTransaction,
    columns: Mapping[str, Any],
    payees: Mapping[UUID, Payee],
) -> None:
    results = [
        MintResult(
            id=uuid7(),
            batch_id=row.batch_id,
            slice_id=row.slice_id,
            reading_id=each.reading_id,
            user_id=payees[each.reading_id].user_id,
            wallet_address=each.wallet,
            kwh_amount=payees[each.reading_id].kwh_amount,
            base_units=each.base_units,
            status=ResultStatus.FINALIZED,
            attempts=1,
            **columns,
        )
        for each in paid
    ]
    MintResult.objects.bulk_create(results)
    minted = reading_status(ResultStatus.FINALIZED, permanent=False)
    queries.set_status((result.reading_id, minted, "", result.id) for result in results)
