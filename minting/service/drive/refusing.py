"""Readings that end unsigned: their wallet's fault is proven, or nobody can sign for them now."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from uuid import UUID

import structlog
from django.db import transaction
from solders.pubkey import Pubkey

from minting import journal
from minting.engine.types import PlannedTransaction
from minting.journal import Claim, Refusal
from minting.models import MintBatch, MintResult, MintSlice
from minting.service.chain.session import Session
from minting.service.plan.planning import RefusedGroup

log = structlog.get_logger(__name__)

MAX_STUMBLES = 3
"""Failed simulations of a wallet without a proven fault, after which its readings fail for now."""

MAX_STARTS = 5
"""Claims of a slice without progress, after which its unsigned readings fail with the reason."""


def refuse(session: Session, refusals: Sequence[Refusal]) -> None:
    """Ends readings with their reasons, in one database transaction."""
    if refusals:
        with transaction.atomic():
            journal.refuse_results(refusals, retry=session.config.retry)


def refuse_left_out(
    session: Session,
    left_out: Sequence[tuple[PlannedTransaction, RefusedGroup]],
    stumbles: Counter[Pubkey],
) -> None:
    """Ends groups whose own fault is proven; others are planned anew, a few times at most.

    Args:
        session: For its settings.
        left_out: Of a wave, with the plans that they were taken from.
        stumbles: Failed simulations so far, by wallet; counted on here.
    """
    ending: list[tuple[UUID, RefusedGroup]] = []
    for planned, group in left_out:
        stumbles[group.group.wallet] += 1
        if group.permanent or stumbles[group.group.wallet] >= MAX_STUMBLES:
            ending.append((planned.batch_id, group))
    ids = _result_ids(ending)
    refuse(session, [as_refusal(group, ids[batch_id]) for batch_id, group in ending])


def give_up(
    session: Session,
    slice_ids: Collection[UUID],
    *,
    code: str,
    reason: str,
    permanent: bool = False,
) -> None:
    """Ends what is unsigned in slices; unless the reason stays, it is tried again later."""
    ids = tuple(MintResult.objects.unsigned(list(slice_ids)).values_list("id", flat=True))
    log.error("signing_stopped", code=code, reason=reason, readings=len(ids))
    refuse(session, [Refusal(ids, code, reason, permanent)])


def cancel_asked(claims: Iterable[Claim]) -> None:
    """What came free after a cancellation was asked for is cancelled too."""
    asked = MintBatch.objects.filter(
        id__in={claim.batch_id for claim in claims}, cancel_requested_at__isnull=False
    )
    for batch_id, by in asked.values_list("id", "cancel_requested_by"):
        # One by one: whoever holds a batch's row waits for no other batch's slices.
        with transaction.atomic():
            journal.cancel_unsigned(batch_id, by=by)


def worn_out(slice_ids: Collection[UUID]) -> list[UUID]:
    """Those of the slices that were claimed too often without anything moving."""
    return list(
        MintSlice.objects.filter(id__in=slice_ids, starts__gte=MAX_STARTS).values_list(
            "id", flat=True
        )
    )


def as_refusal(group: RefusedGroup, result_ids: Mapping[UUID, UUID]) -> Refusal:
    """A group's readings as the journal ends them.

    Args:
        group: Who is refused, and why.
        result_ids: Results by reading.
    """
    return Refusal(
        tuple(result_ids[payment.reading_id] for payment in group.group.payments),
        group.code,
        group.reason,
        group.permanent,
    )


def _result_ids(groups: Sequence[tuple[UUID, RefusedGroup]]) -> dict[UUID, dict[UUID, UUID]]:
    """Results by batch and reading; a query for each batch, of which a task has few."""
    readings: dict[UUID, list[UUID]] = {}
    for batch_id, group in groups:
        paid = [payment.reading_id for payment in group.group.payments]
        readings.setdefault(batch_id, []).extend(paid)
    return {
        batch_id: dict(
            MintResult.objects.filter(batch_id=batch_id, reading_id__in=ids).values_list(
                "reading_id", "id"
            )
        )
        for batch_id, ids in readings.items()
    }
