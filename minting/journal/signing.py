"""Before the wire: the transaction and the results it pays, in one commit (I2, I3)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from uuid import UUID

import structlog
from django.db import connection
from django.db.models import Q, Sum
from django.db.models.functions import Now
from uuid_utils.compat import uuid7

from minting.engine.errors import DailyLimitPassed, InsufficientFunds
from minting.engine.states import LIVE_TRANSACTIONS, ResultStatus, TransactionStatus
from minting.engine.types import SignedTransaction
from minting.journal.approving import require_approved
from minting.journal.claims import Claim
from minting.journal.parking import forgive
from minting.journal.phase import atomic_phase
from minting.journal.results import lock_slices
from minting.journal.stopping import DAILY_LIMIT, require_not_stopped
from minting.models import MintInfo, MintingStop, MintResult, MintTransaction
from minting.models.fields import first_id_since

log = structlog.get_logger(__name__)


CLOCKS_DIFFER = timedelta(days=2)
"""More than a worker's clock is ever behind the database's."""


class LostClaimError(RuntimeError):
    """The slice, or one of its readings, is not ours any more: cancelled, or taken over.

    Nothing of the wave is kept; what was signed in memory must be forgotten, never sent.
    """


@dataclass(frozen=True, slots=True)
class Signing:
    """A signed transaction, and the claim it was signed under."""

    claim: Claim
    signed: SignedTransaction


@dataclass(frozen=True, slots=True)
class Balance:
    """The fee payer's lamports, when they were read, and what must remain."""

    lamports: int
    slot: int
    floor: int
    """Rent of an empty account: a payer left with less, but not nothing, fails."""


@atomic_phase
def record_signed(
    signings: Sequence[Signing],
    *,
    mint: MintInfo,
    fee_payer: str,
    balance: Balance,
    max_kwh_per_day: Decimal | None = None,
) -> list[MintTransaction]:
    """Journals a wave and moves its results to their transactions, or keeps nothing.

    The compare-and-set compares the money too: a result whose wallet or base units differ from
    what was signed is not moved, and then all is rolled back.

    Args:
        signings: The wave.
        mint: What is minted; its row is the lock under which waves are counted one by one.
        fee_payer: Who pays.
        balance: What it has.
        max_kwh_per_day: ``MINT_MAX_KWH_PER_DAY``.

    Raises:
        LostClaimError: A claim or a result is not ours any more.
        InsufficientFunds: The payer cannot pay this on top of what is in flight already.
        MintingStopped: Somebody stopped minting; nothing new is signed.
        ApprovalVoid: A batch of the wave waits for approval, or is not what was approved.
        DailyLimitPassed: This wave passes ``max_kwh_per_day``; the caller stops minting.
    """
    require_not_stopped()
    _hold_claims({signing.claim for signing in signings})
    require_approved(_costs(signings), {signing.claim.slice_id for signing in signings})
    _reserve(signings, mint=mint, fee_payer=fee_payer, balance=balance)
    rows = MintTransaction.objects.bulk_create(
        _row(signing, mint=mint, fee_payer=fee_payer) for signing in signings
    )
    expected = sum(len(row.reading_ids) for row in rows)
    forgive({row.slice_id for row in rows})
    moved = _point_results_at(rows, signings)
    if moved != expected:
        raise LostClaimError(f"{moved} of {expected} results were still ours")
    if max_kwh_per_day is not None:
        _keep_within(max_kwh_per_day)
    for row, signing in zip(rows, signings, strict=True):
        log.info(
            "transaction_signed",
            batch_id=str(row.batch_id),
            slice_id=str(row.slice_id),
            signature=row.signature,
            readings=len(row.reading_ids),
            wallets=len(signing.signed.plan.destinations),
            base_units=int(row.base_units),
            last_valid_block_height=row.last_valid_block_height,
            lamports=row.network_fee_lamports + row.priority_fee_lamports + row.rent_lamports,
        )
    return rows


@atomic_phase
def record_sent(transaction_ids: Collection[UUID]) -> int:
    """Notes that the bytes left this process; a landing that was seen first stays."""
    unsent = MintTransaction.objects.filter(id__in=transaction_ids, status=TransactionStatus.SIGNED)
    # Locked by id, as whoever settles them does.
    locked = list(unsent.select_for_update().order_by("id").values_list("id", flat=True))
    return MintTransaction.objects.filter(id__in=locked).update(
        status=TransactionStatus.SENT, sent_at=Now()
    )


def _costs(signings: Sequence[Signing]) -> Counter[UUID]:
    """Lamports of the wave, by batch."""
    costs: Counter[UUID] = Counter()
    for signing in signings:
        costs[signing.claim.batch_id] += signing.signed.plan.cost.total
    return costs


def _keep_within(limit: Decimal) -> None:
    """Compares what is signed for today, this wave included, with the limit, exactly.

    What landed with an error or is proven dead has no results any more and does not count. Each
    time that a person resumed after this limit had stopped minting today allows as much again.
    The day, and what belongs to it, is the database's: a worker whose clock is wrong begins none.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT date_trunc('day', now(), 'UTC')")
        (midnight,) = cursor.fetchone()
    today = MintResult.objects.filter(
        # Ids bear the time of whoever signed: near enough for the index, not for the count.
        transaction__gte=first_id_since(midnight - CLOCKS_DIFFER),
        transaction__signed_at__gte=midnight,
    )
    wanted: Decimal = today.aggregate(kwh=Sum("kwh_amount", default=Decimal(0)))["kwh"]
    resumed = MintingStop.objects.filter(stopped_by=DAILY_LIMIT, stopped_at__gte=midnight).count()
    allowed = limit * (1 + resumed)
    if wanted > allowed:
        raise DailyLimitPassed(wanted=wanted, allowed=allowed)


def _hold_claims(claims: set[Claim]) -> None:
    """Locks the slices and compares their claims, so that a takeover waits for our commit."""
    held = lock_slices([claim.slice_id for claim in claims])
    lost = [claim for claim in claims if held.get(claim.slice_id) != claim.token]
    if lost:
        raise LostClaimError(f"slice {lost[0].slice_id} was taken over")


def _reserve(
    signings: Sequence[Signing], *, mint: MintInfo, fee_payer: str, balance: Balance
) -> None:
    """Compares the plan with the balance less what other transactions in flight will cost.

    The mint's row is the lock, so two workers cannot count the same lamports. What landed up to
    the slot of the balance is in the balance already.
    """
    MintInfo.objects.select_for_update().get(id=mint.id)
    costs = MintTransaction.objects.filter(
        Q(slot__isnull=True) | Q(slot__gt=balance.slot),
        genesis_hash=mint.genesis_hash,
        fee_payer=fee_payer,
        status__in=LIVE_TRANSACTIONS,
    ).aggregate(
        network=Sum("network_fee_lamports", default=0),
        priority=Sum("priority_fee_lamports", default=0),
        rent=Sum("rent_lamports", default=0),
    )
    planned = sum(signing.signed.plan.cost.total for signing in signings)
    missing = planned + sum(costs.values()) + balance.floor - balance.lamports
    if missing > 0:
        raise InsufficientFunds(int(missing))


def _row(signing: Signing, *, mint: MintInfo, fee_payer: str) -> MintTransaction:
    signed = signing.signed
    plan = signed.plan
    return MintTransaction(
        id=uuid7(),
        batch_id=signing.claim.batch_id,
        slice_id=signing.claim.slice_id,
        signature=str(signed.signature),
        raw=signed.raw,
        version=plan.version,
        genesis_hash=mint.genesis_hash,
        mint_address=mint.address,
        fee_payer=fee_payer,
        blockhash=signed.blockhash.value,
        blockhash_slot=signed.blockhash.slot,
        last_valid_block_height=signed.blockhash.last_valid_block_height,
        memo_root=signed.memo_root,
        reading_ids=[payment.reading_id for payment in plan.payments],
        base_units=plan.base_units,
        new_accounts=plan.new_accounts,
        network_fee_lamports=plan.cost.network_fee,
        priority_fee_lamports=plan.cost.priority_fee,
        rent_lamports=plan.cost.rent,
    )


_POINT = """
UPDATE minting_mintresult AS result
SET transaction_id = paid.transaction_id, attempts = result.attempts + 1
FROM unnest(%s::uuid[], %s::uuid[], %s::uuid[], %s::text[], %s::numeric[])
    AS paid (transaction_id, slice_id, reading_id, wallet_address, base_units)
WHERE result.slice_id = paid.slice_id
  AND result.reading_id = paid.reading_id
  AND result.wallet_address = paid.wallet_address
  AND result.base_units = paid.base_units
  AND result.status = %s
  AND result.transaction_id IS NULL
"""


def _point_results_at(rows: Sequence[MintTransaction], signings: Sequence[Signing]) -> int:
    """Compare-and-set from "no live transaction" to this one; returns how many moved (I3)."""
    paid = [
        (
            row.id,
            row.slice_id,
            payment.reading_id,
            str(destination.group.wallet),
            payment.base_units,
        )
        for row, signing in zip(rows, signings, strict=True)
        for destination in signing.signed.plan.destinations
        for payment in destination.group.payments
    ]
    with connection.cursor() as cursor:
        cursor.execute(
            _POINT,
            [*(list(column) for column in zip(*paid, strict=True)), ResultStatus.PENDING.value],
        )
        return int(cursor.rowcount)
