"""From readings asked for to a batch that is queued: the first phase of a job.

look and plan (no lock; the chain is asked, no transaction open) → lock, judge again, write (one
transaction). Both passes stream: what is kept of the readings are sums, and by wallet the number of
its transaction.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction

from minting import journal
from minting.conf import MintingConfig
from minting.engine.errors import (
    BatchTooLarge,
    EmptyBatch,
    FeeEstimationDisabled,
    InvalidBatchData,
    InvalidItem,
    NodeUnreachable,
)
from minting.engine.types import MintBatchData
from minting.journal import NewResult, Waiting
from minting.models import BatchSource, MintBatch, MintInfo, MintSelection
from minting.service import nudges
from minting.service.chain.preflight import Standing, inspect_mint, inspect_or_recall
from minting.service.chain.session import Session, open_session
from minting.service.plan.estimate import Estimate, Survey, Totals, survey
from minting.service.plan.payments import walk_payments
from minting.service.plan.slices import READINGS_A_SLICE, Deal, Dealt
from minting.service.requests import approving
from minting.service.requests.sieve import Sieve
from readings import queries
from readings.queries import Ids
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

    totals: Totals
    """Of what would be paid."""
    excluded: tuple[InvalidItem, ...]
    """By the rules of readings, or by what the chain says of their wallets."""
    estimate: Estimate | None
    """``None`` where estimation is off, nothing can be paid, or no node answered."""


def preview(
    ids: Ids,
    *,
    allowed: frozenset[ReadingStatus] = NAMED,
    passing: Callable[[int], None] | None = None,
) -> Preview:
    """What minting ``ids`` would pay and cost.

    Args:
        ids: Readings, in any order.
        allowed: The statuses that may be minted.
        passing: Told with every wallet how many have passed.

    Raises:
        MintingRefused: wrong cluster, mint, authority or decimals.
        SolanaError: a node refused to answer what it was asked.
    """
    with open_session() as session:
        mint, standing = inspect_or_recall(session)
        walk = partial(walk_payments, ids, allowed=allowed, mint=mint, config=session.config)
        sieve = Sieve(walk(), passing)
        if session.config.fee_estimation_enabled:
            found = _survey(session, standing, sieve)
            if found is not None and found.estimate.transactions:
                return _preview(found, sieve)
            sieve = Sieve(walk())
        return Preview(_totals(sieve), tuple(sieve.excluded), None)


def estimate_readings(ids: Ids, *, allowed: frozenset[ReadingStatus] = NAMED) -> Preview:
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
        standing = inspect_mint(session)
        sieve = Sieve(
            walk_payments(ids, allowed=allowed, mint=standing.info, config=session.config)
        )
        return _preview(survey(session, standing, sieve), sieve)


def _preview(found: Survey, sieve: Sieve) -> Preview:
    """The readings of wallets that the chain forbids to pay are among those that are left out."""
    refused = [
        InvalidItem(payment.reading_id, group.code, group.reason)
        for group in found.estimate.refused
        for payment in group.group.payments
    ]
    return Preview(found.totals, (*sieve.excluded, *refused), found.estimate)


def _totals(payments: Iterable[MintBatchData]) -> Totals:
    totals = Totals()
    for _, rows in groupby(payments, key=lambda data: data.wallet_address):
        totals.add(list(rows))
    return totals


def request_batch(
    ids: Ids,
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
    passing: Callable[[int], None] | None = None,
) -> MintBatch:
    """Queues a batch: readings taken, results pending, slices waiting, the queue nudged.

    Args:
        ids: Readings, in any order; a query must find the same ones whenever it is asked.
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
        passing: Told with every wallet that is planned how many were.

    Raises:
        EmptyBatch: No reading named, or none of them can be minted.
        BatchTooLarge: More than ``max_size``.
        InvalidBatchData: ``strict``, and some cannot be minted; every one is told in ``items``.
        MintingRefused: Wrong cluster, mint, authority or decimals.
        InsufficientFunds: The authority cannot pay what the plan costs.
        NodeUnreachable: No node tells the cost, and what costs much needs approval.
    """
    order = _Order(
        source=source,
        created_by=created_by,
        strict=strict,
        selection=selection,
        retry=retry,
        nudge=nudge,
        written=written,
    )
    if (made := _batch_of(selection)) is not None:
        return made
    _require_size(ids, max_size)
    plan = _look_and_plan(ids, strict=strict, allowed=allowed, passing=passing)
    if plan.shown is not None:
        plan.shown.require_affordable()
    try:
        with transaction.atomic():
            return _batch_of(selection) or _write(ids, order, plan)
    except IntegrityError as error:
        # I1 held: another batch took one of them between lock and insert.
        raise InvalidBatchData("some readings are being minted by another batch") from error


@dataclass(frozen=True, slots=True)
class _Order:
    """Who wants a batch, and how; each as ``request_batch`` is told."""

    source: BatchSource
    created_by: Any
    strict: bool
    selection: MintSelection | None
    retry: Retry | None
    nudge: bool
    written: Callable[[MintBatch], None] | None


@dataclass(frozen=True, slots=True)
class _Plan:
    """What was found out while nothing was locked."""

    mint: MintInfo
    config: MintingConfig
    walk: Callable[[Ids], Iterator[MintBatchData | InvalidItem]]
    survey: Survey | None
    """``None`` if there is no plan: no node answers, or nobody needs one."""

    @property
    def priced(self) -> Estimate | None:
        """What it costs, where that is known."""
        return self.survey.estimate if self.survey else None

    @property
    def shown(self) -> Estimate | None:
        """The same, where people are to see it."""
        return self.priced if self.config.fee_estimation_enabled else None

    def deal(self) -> Deal:
        """Who travels where."""
        return self.survey.deal if self.survey else Deal(self.config.max_tokens_per_transaction)


def _look_and_plan(
    ids: Ids,
    *,
    strict: bool,
    allowed: frozenset[ReadingStatus],
    passing: Callable[[int], None] | None,
) -> _Plan:
    """Asks the chain; no lock and no transaction is open meanwhile."""
    with open_session() as session:
        mint, standing = inspect_or_recall(session)
        config = session.config
        walk = partial(walk_payments, allowed=allowed, mint=mint, config=config)
        found = _plan(session, standing, ids, Sieve(walk(ids), passing), strict=strict)
    return _Plan(mint, config, walk, found)


def _write(ids: Ids, order: _Order, plan: _Plan) -> MintBatch:
    """Locks, judges again, and writes all of the batch, in the caller's transaction."""
    waiting = journal.hold_waiting(ids)
    numbers: dict[UUID, int] = {}
    if order.retry is not None and order.retry.due:
        waiting = due_of(order.retry.of, waiting)
        ids = list(waiting)
        numbers = {id_: each.retry_number + 1 for id_, each in waiting.items()}
    queries.lock_for_minting(ids)
    sieve = Sieve(plan.walk(ids))
    batch = journal.open_batch(
        (_new_result(dealt, numbers) for dealt in plan.deal().deal(sieve)),
        source=order.source,
        mint=plan.mint,
        created_by=order.created_by,
        selection=order.selection,
        retry_of=order.retry.of if order.retry else None,
        estimate=plan.shown.cost if plan.shown else None,
    )
    _require_payable(batch.total_readings, sieve.excluded, strict=order.strict)
    _leave_out(batch, sieve.excluded, waiting)
    held = approving.hold_if_needed(batch, plan.priced, plan.config.approval)
    if order.nudge and not held:
        # Inside the transaction: the task's row is in the same commit (an outbox).
        nudges.call_workers(batch)
    if order.written is not None:
        order.written(batch)
    return batch


def _leave_out(
    batch: MintBatch, excluded: Sequence[InvalidItem], waiting: Mapping[UUID, Waiting]
) -> None:
    """What cannot be minted is told on the batch, and goes on waiting for its retry."""
    if excluded:
        journal.record_excluded(batch, [_kept(item) for item in excluded])
    left_out = {item.reading_id for item in excluded}
    journal.take_waiting([each for id_, each in waiting.items() if id_ not in left_out])


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


def _plan(
    session: Session, standing: Standing | None, ids: Ids, sieve: Sieve, *, strict: bool
) -> Survey | None:
    """The plan of a batch, where it is to be shown or spreads over several slices.

    What one slice holds is packed as a whole by whoever drives it, with or without this plan.
    """
    payments: Iterable[MintBatchData] = sieve
    if strict:
        # Named readings are few, and one that cannot be minted needs no node to be refused.
        payments = list(sieve)
        _require_distinct(ids, sieve.excluded)
        _require_payable(len(payments), sieve.excluded, strict=True)
    few = isinstance(ids, Sequence) and len(ids) <= READINGS_A_SLICE
    config = session.config
    if few and not (config.fee_estimation_enabled or config.approval.is_on):
        return None
    return _survey(session, standing, payments)


def _survey(
    session: Session, standing: Standing | None, payments: Iterable[MintBatchData]
) -> Survey | None:
    """``None`` if no node answers: no reason to refuse, the batch goes without estimate."""
    if standing is None:
        return None
    try:
        return survey(session, standing, payments)
    except NodeUnreachable:
        return None


def _new_result(dealt: Dealt, numbers: Mapping[UUID, int]) -> NewResult:
    data = dealt.data
    return NewResult(
        reading_id=data.reading_id,
        user_id=data.user_id,
        wallet_address=data.wallet_address,
        kwh_amount=data.kwh_amount,
        base_units=data.tokens_to_mint,
        slice_number=dealt.slice_number,
        planned=dealt.planned,
        rent_elsewhere=dealt.rent_elsewhere,
        account_held=dealt.account_held,
        retry_number=numbers.get(data.reading_id, 0),
    )


def _kept(item: InvalidItem) -> dict[str, str]:
    """What was left out, as the batch keeps it."""
    return {"reading_id": str(item.reading_id), "code": item.code, "reason": item.detail}


def _require_size(ids: Ids, max_size: int | None) -> None:
    if not isinstance(ids, Sequence):
        return
    if not ids:
        raise EmptyBatch
    if max_size is not None and len(ids) > max_size:
        raise BatchTooLarge(len(ids), max_size)


def _require_distinct(ids: Ids, excluded: Sequence[InvalidItem]) -> None:
    """What else stands against the readings is told with it."""
    twice = [id_ for id_, times in Counter(ids).items() if times > 1]
    if twice:
        raise InvalidBatchData(
            "readings are named twice",
            [
                *(InvalidItem(id_, "named_twice", "named more than once") for id_ in twice),
                *excluded,
            ],
        )


def _require_payable(payable: int, excluded: Sequence[InvalidItem], *, strict: bool) -> None:
    if strict and excluded:
        raise InvalidBatchData(
            f"{len(excluded)} of {len(excluded) + payable} readings cannot be minted", excluded
        )
    if not payable:
        raise EmptyBatch
