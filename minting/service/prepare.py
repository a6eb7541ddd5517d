"""From readings asked for to a batch that is queued: the first phase of a job.

look (no lock) → ask the chain (no transaction) → lock, judge again, write (one transaction).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction
from solders.pubkey import Pubkey

from minting import journal
from minting.conf import MintingConfig
from minting.engine.amounts import tokens_for
from minting.engine.errors import (
    BatchTooLarge,
    EmptyBatch,
    FeeEstimationDisabled,
    InvalidBatchData,
    InvalidItem,
    NodeUnreachable,
    WalletRefused,
)
from minting.engine.types import MintBatchData
from minting.engine.wallets import parse_wallet
from minting.journal import NewResult, Waiting
from minting.models import BatchSource, MintBatch, MintInfo, MintSelection
from minting.service import nudges
from minting.service.estimate import Estimate, estimate_payments
from minting.service.preflight import inspect_mint, inspect_or_recall
from minting.service.session import Session, open_session
from minting.service.slices import cut_slices
from readings import queries
from readings.queries import MintableRow
from readings.rules import ReadingStatus

NAMED = frozenset({ReadingStatus.PENDING, ReadingStatus.RETRYING, ReadingStatus.FAILED})
"""What somebody who names a reading may mint."""

MATCHING = frozenset({ReadingStatus.PENDING})
"""What ``--pending``, the poller and "all that match" may mint."""


@dataclass(frozen=True, slots=True)
class Retry:
    """Which batch's failures are tried again."""

    of: MintBatch
    due: bool
    """Whether by the clock: then only what waits for its retry and is due is taken, as one attempt
    more. A person's retry begins to count anew."""


@dataclass(frozen=True, slots=True)
class Preview:
    """What a batch of these readings would be, minting nothing."""

    payable: tuple[MintBatchData, ...]
    excluded: tuple[InvalidItem, ...]
    """By the rules of readings, or by what the chain says of their wallets."""
    estimate: Estimate | None
    """``None`` where estimation is off, nothing can be paid, or no node answered."""


def preview(ids: Sequence[UUID], *, allowed: frozenset[ReadingStatus] = NAMED) -> Preview:
    """What minting ``ids`` would pay and cost.

    Raises:
        MintingRefused: wrong cluster, mint, authority or decimals.
        SolanaError: a node refused to answer what it was asked.
    """
    with open_session() as session:
        mint = inspect_or_recall(session)
        payable, excluded = look(ids, allowed=allowed, mint=mint, config=session.config)
        return _with_chain(payable, excluded, _estimate(session, payable) if payable else None)


def estimate_readings(ids: Sequence[UUID], *, allowed: frozenset[ReadingStatus] = NAMED) -> Preview:
    """As ``preview``, for callers who want the cost or the reason why there is none.

    Raises:
        EmptyBatch: no reading named.
        FeeEstimationDisabled: switched off by the settings.
        MintingRefused, SolanaError: as ``preview``; a silent node is an error here.
    """
    _require_size(ids, None)
    with open_session() as session:
        if not session.config.fee_estimation_enabled:
            raise FeeEstimationDisabled
        mint, _ = inspect_mint(session)
        payable, excluded = look(ids, allowed=allowed, mint=mint, config=session.config)
        return _with_chain(payable, excluded, estimate_payments(session, payable))


def _with_chain(
    payable: Sequence[MintBatchData], excluded: Sequence[InvalidItem], estimate: Estimate | None
) -> Preview:
    """Moves the readings of wallets that the chain forbids to pay to those that are left out."""
    refused = [
        InvalidItem(payment.reading_id, group.code, group.reason)
        for group in (estimate.refused if estimate else ())
        for payment in group.group.payments
    ]
    left_out = {item.reading_id for item in refused}
    return Preview(
        tuple(data for data in payable if data.reading_id not in left_out),
        (*excluded, *refused),
        estimate,
    )


def request_batch(
    ids: Sequence[UUID],
    *,
    source: BatchSource,
    created_by: Any = None,
    strict: bool,
    allowed: frozenset[ReadingStatus] = NAMED,
    selection: MintSelection | None = None,
    retry: Retry | None = None,
    max_size: int | None = None,
    nudge: bool = True,
    written: Callable[[MintBatch], None] | None = None,
) -> MintBatch:
    """Queues a batch: readings taken, results pending, slices waiting, the queue nudged.

    Args:
        ids: Readings, in any order.
        source: Which door they came through.
        created_by: The user who asked.
        strict: Whether one reading that cannot be minted refuses all; else it is left out and
            listed on the batch.
        allowed: The statuses that may be minted.
        selection: The frozen selection that the ids come from; it makes one batch at most.
        retry: The batch that is tried again, if one is.
        max_size: Readings that the caller may name; ``None``: any number.
        nudge: Whether a worker is called; ``False`` for a caller that drives it itself.
        written: Called with the batch inside its transaction: what it writes and the batch are in
            one commit.

    Raises:
        EmptyBatch: No reading named, or none of them can be minted.
        BatchTooLarge: More than ``max_size``.
        InvalidBatchData: ``strict``, and some cannot be minted; every one is told in ``items``.
        MintingRefused: Wrong cluster, mint, authority or decimals.
    """
    if (made := _batch_of(selection)) is not None:
        return made
    _require_size(ids, max_size)
    if strict:
        _require_distinct(ids)
    with open_session() as session:
        mint = inspect_or_recall(session)
        config = session.config
        seen, excluded = look(ids, allowed=allowed, mint=mint, config=config)
        _require_payable(seen, excluded, strict=strict)
        estimate = _estimate(session, seen)
    numbers: dict[UUID, int] = {}
    try:
        with transaction.atomic():
            if (made := _batch_of(selection)) is not None:
                return made
            waiting = journal.hold_waiting(ids)
            if retry is not None and retry.due:
                waiting = due_of(retry.of, waiting)
                ids = list(waiting)
                numbers = {id_: each.retry_number + 1 for id_, each in waiting.items()}
            locked = queries.lock_for_minting(ids, allowed=allowed)
            payable, unpayable = payments_of(locked.mintable, mint=mint, config=config)
            excluded = [_item(row) for row in locked.excluded] + unpayable
            _require_payable(payable, excluded, strict=strict)
            batch = journal.open_batch(
                [
                    [_new_result(data, numbers.get(data.reading_id, 0)) for data in part]
                    for part in cut_slices(payable)
                ],
                source=source,
                mint=mint,
                created_by=created_by,
                selection=selection,
                retry_of=retry.of if retry else None,
                estimate=estimate.cost if estimate else None,
                excluded=[_kept(item) for item in excluded],
            )
            taken = {data.reading_id for data in payable}
            journal.take_waiting([each for id_, each in waiting.items() if id_ in taken])
            if nudge:
                # Inside the transaction: the task's row is in the same commit (an outbox).
                nudges.call_workers(batch)
            if written is not None:
                written(batch)
    except IntegrityError as error:
        # I1 held: another batch took one of them between lock and insert.
        raise InvalidBatchData("some readings are being minted by another batch") from error
    return batch


def due_of(batch: MintBatch, waiting: Mapping[UUID, Waiting]) -> dict[UUID, Waiting]:
    """What is due now of what failed in this batch."""
    return {id_: each for id_, each in waiting.items() if each.due and each.batch_id == batch.id}


@transaction.atomic
def _batch_of(selection: MintSelection | None) -> MintBatch | None:
    """The batch that a selection made already; its row's lock makes a second press wait."""
    if selection is None:
        return None
    MintSelection.objects.select_for_update().get(pk=selection.pk)
    return MintBatch.objects.filter(selection=selection).first()


def look(
    ids: Sequence[UUID],
    *,
    allowed: frozenset[ReadingStatus],
    mint: MintInfo,
    config: MintingConfig,
) -> tuple[list[MintBatchData], list[InvalidItem]]:
    """What can be paid of ``ids`` and what not, without locking anything."""
    found = queries.look_for_minting(ids, allowed=allowed)
    payable, unpayable = payments_of(found.mintable, mint=mint, config=config)
    return payable, [_item(row) for row in found.excluded] + unpayable


def payments_of(
    rows: Sequence[MintableRow], *, mint: MintInfo, config: MintingConfig
) -> tuple[list[MintBatchData], list[InvalidItem]]:
    """Base units and wallet of each reading, by the rules; what breaks one is told."""
    payable: list[MintBatchData] = []
    refused: list[InvalidItem] = []
    for row in rows:
        try:
            parse_wallet(
                row.wallet_address,
                allowed=_exceptions(row),
                forbidden={Pubkey.from_string(mint.address)},
            )
            tokens = tokens_for(row.kwh_amount, ratio=config.ratio, decimals=mint.decimals)
        except WalletRefused as error:
            refused.append(InvalidItem(row.reading_id, error.code, str(error)))
        except InvalidBatchData as error:
            refused.append(InvalidItem(row.reading_id, "invalid_amount", error.reason))
        else:
            payable.append(
                MintBatchData(
                    reading_id=row.reading_id,
                    user_id=row.owner_user_id,
                    wallet_address=row.wallet_address,
                    kwh_amount=row.kwh_amount,
                    tokens_to_mint=tokens,
                    meter_id=row.meter_serial,
                )
            )
    return payable, refused


def _exceptions(row: MintableRow) -> set[Pubkey]:
    """The wallet itself, where a person allowed that it has no private key."""
    if not row.allow_off_curve:
        return set()
    try:
        return {Pubkey.from_string(row.wallet_address)}
    except ValueError:
        return set()  # parse_wallet says what is wrong with it


def _estimate(session: Session, payable: Sequence[MintBatchData]) -> Estimate | None:
    """The plan's cost; a silent node leaves the batch without one, and is no reason to refuse."""
    if not session.config.fee_estimation_enabled:
        return None
    try:
        return estimate_payments(session, payable)
    except NodeUnreachable:
        return None


def _new_result(data: MintBatchData, retry_number: int) -> NewResult:
    return NewResult(
        reading_id=data.reading_id,
        user_id=data.user_id,
        wallet_address=data.wallet_address,
        kwh_amount=data.kwh_amount,
        base_units=data.tokens_to_mint,
        retry_number=retry_number,
    )


def _item(row: queries.Excluded) -> InvalidItem:
    return InvalidItem(row.reading_id, row.code, row.reason)


def _kept(item: InvalidItem) -> dict[str, str]:
    """What was left out, as the batch keeps it."""
    return {"reading_id": str(item.reading_id), "code": item.code, "reason": item.detail}


def _require_size(ids: Sequence[UUID], max_size: int | None) -> None:
    if not ids:
        raise EmptyBatch
    if max_size is not None and len(ids) > max_size:
        raise BatchTooLarge(len(ids), max_size)


def _require_distinct(ids: Sequence[UUID]) -> None:
    twice = [id_ for id_, times in Counter(ids).items() if times > 1]
    if twice:
        raise InvalidBatchData(
            "readings are named twice",
            [InvalidItem(id_, "named_twice", "named more than once") for id_ in twice],
        )


def _require_payable(
    payable: Sequence[MintBatchData], excluded: Sequence[InvalidItem], *, strict: bool
) -> None:
    if strict and excluded:
        raise InvalidBatchData(
            f"{len(excluded)} of {len(excluded) + len(payable)} readings cannot be minted", excluded
        )
    if not payable:
        raise EmptyBatch
