"""A second person's word: what waits for it, what it is bound to, and whether it still holds."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import structlog
from django.db import connection
from django.db.models import F, Sum
from django.db.models.functions import Now

from gridtoken.clock import database_time
from minting.engine.approval import (
    DECISION_MOVES,
    WINDOW,
    Asked,
    Decision,
    batch_digest,
)
from minting.engine.errors import ApprovalRefused, ApprovalVoid
from minting.engine.states import FINAL_BATCHES, BatchStatus, SliceStatus, assert_move
from minting.journal.cancelling import cancel_unsigned
from minting.journal.phase import atomic_phase
from minting.models import MintApproval, MintBatch, MintSlice, MintTransaction
from minting.models.fields import values

log = structlog.get_logger(__name__)

_ONE_AT_A_TIME = "minting.approval"

_DIGESTS = """
SELECT slice_id, sha256(convert_to(string_agg(
    reading_id::text || ' ' || wallet_address || ' ' || base_units::text,
    E'\\n' ORDER BY reading_id), 'UTF8'))
FROM minting_mintresult WHERE slice_id = ANY(%s) GROUP BY slice_id
"""
"""``engine.approval.slice_digest``, where the rows are."""


@atomic_phase
def asked_lately(batch: MintBatch) -> Asked:
    """What the batch's requester asked for before it, and nobody else has looked at.

    Whoever asks at the same time waits here, so that two halves do not pass side by side. What
    has no user (the poller, automatic retries, a command) counts by its source.
    """
    with connection.cursor() as cursor:
        key = f"{_ONE_AT_A_TIME}:{batch.created_by_id or batch.source}"
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [key])
    mine = (
        MintBatch.objects.filter(created_by=batch.created_by)
        if batch.created_by_id
        else MintBatch.objects.filter(created_by=None, source=batch.source)
    )
    sums = (
        mine.filter(created_at__gte=Now() - WINDOW, approval=None)
        .exclude(id=batch.id)
        .exclude(status=BatchStatus.CANCELLED)
        .aggregate(
            kwh=Sum("total_kwh", default=Decimal(0)),
            fee=Sum("fee_estimate_lamports", default=0),
            rent=Sum("rent_estimate_lamports", default=0),
        )
    )
    return Asked(sums["kwh"], sums["fee"] + sums["rent"])


@atomic_phase
def ask_approval(
    batch: MintBatch, *, why: str, fee_cap_lamports: int, expires_after: timedelta
) -> MintApproval:
    """Holds a batch that was just opened until a second person has decided.

    Args:
        batch: None of it is claimed: its transaction is this one.
        why: Which limit it passes.
        fee_cap_lamports: What it may cost at most.
        expires_after: For how long the question stands.
    """
    slices = list(batch.slices.order_by("number"))
    digests = _digests({each.id for each in slices})
    for each in slices:
        each.digest = digests[each.id]
        each.status = SliceStatus.AWAITING_APPROVAL
    MintSlice.objects.bulk_update(slices, ["digest", "status"], batch_size=500)
    MintBatch.objects.filter(id=batch.id).update(status=BatchStatus.AWAITING_APPROVAL)
    batch.status = BatchStatus.AWAITING_APPROVAL
    approval = MintApproval.objects.create(
        batch=batch,
        requested_by=batch.created_by,
        why=why,
        fee_cap_lamports=fee_cap_lamports,
        digest=_digest_of(batch, fee_cap_lamports, [digests[each.id] for each in slices]),
        expires_at=database_time() + expires_after,
    )
    log.info("approval_asked", batch_id=str(batch.id), why=why)
    return approval


@atomic_phase
def approve(
    approval_id: UUID, *, by: Any, digest: bytes, expires_after: timedelta, reason: str = ""
) -> MintApproval:
    """Lets a batch go: its slices may be claimed from this commit on.

    Args:
        approval_id: What was asked.
        by: Who decides; never who asked.
        digest: Of what this person was shown.
        expires_after: For how long it may stay unsigned.
        reason: A remark.

    Raises:
        ApprovalRefused: It is decided or void, ``by`` asked for it, or the batch is not what was
            shown.
    """
    approval = _waiting(approval_id)
    if approval.requested_by_id is not None and approval.requested_by_id == by.pk:
        raise ApprovalRefused("whoever asked for a batch cannot approve it")
    slices = list(MintSlice.objects.filter(batch=approval.batch_id).order_by("number"))
    now = _digests({each.id for each in slices})
    found = _digest_of(approval.batch, approval.fee_cap_lamports, [now[each.id] for each in slices])
    if found != bytes(approval.digest) or found != digest:
        raise ApprovalRefused("the batch is not what was shown")
    assert_move(SliceStatus.AWAITING_APPROVAL, SliceStatus.QUEUED)
    assert_move(BatchStatus.AWAITING_APPROVAL, BatchStatus.QUEUED)
    MintSlice.objects.filter(batch=approval.batch_id, status=SliceStatus.AWAITING_APPROVAL).update(
        status=SliceStatus.QUEUED
    )
    waits = MintBatch.objects.filter(id=approval.batch_id, status=BatchStatus.AWAITING_APPROVAL)
    if not waits.update(status=BatchStatus.QUEUED):
        raise ApprovalRefused("the batch has ended")
    approval.expires_at = database_time() + expires_after
    return _decide(approval, Decision.APPROVED, by=by, reason=reason)


@atomic_phase
def refuse_approval(approval_id: UUID, *, by: Any, reason: str) -> MintApproval:
    """Ends a batch that waits; its readings are free again.

    Raises:
        ApprovalRefused: It is decided already.
    """
    approval = _waiting(approval_id)
    _decide(approval, Decision.REFUSED, by=by, reason=reason)
    cancel_unsigned(
        approval.batch_id,
        by=by.get_username(),
        code="approval_refused",
        reason=f"{by.get_username()} did not approve the batch: {reason}",
    )
    return approval


@atomic_phase
def expire_approvals() -> int:
    """Ends the batches whose time to be decided is over; returns how many."""
    late = list(
        MintApproval.objects.select_for_update(skip_locked=True)
        .filter(decision=Decision.WAITING, expires_at__lte=Now())
        .order_by("id")[:100]
    )
    for approval in late:
        _decide(approval, Decision.EXPIRED, by=None, reason="")
        cancel_unsigned(
            approval.batch_id,
            by="expiry",
            code="approval_expired",
            reason="Nobody decided about the batch in time",
        )
    return len(late)


@atomic_phase
def withdraw_approval(batch_id: UUID) -> None:
    """Notes that a batch that waits is cancelled."""
    approval = MintApproval.objects.select_for_update().filter(
        batch=batch_id, decision=Decision.WAITING
    )
    for each in approval:
        _decide(each, Decision.WITHDRAWN, by=None, reason="")


@atomic_phase
def withdraw_ended() -> None:
    """Notes that batches that waited have ended otherwise: their readings were minted already.

    Who is deciding about one right now is refused by its end, and is not waited for.
    """
    ended = (
        MintApproval.objects.select_for_update(skip_locked=True, of=("self",))
        .filter(decision=Decision.WAITING, batch__status__in=values(FINAL_BATCHES))
        .order_by("id")
    )
    for each in ended:
        _decide(each, Decision.WITHDRAWN, by=None, reason="")


@atomic_phase
def require_approved(costs: Mapping[UUID, int], slice_ids: Collection[UUID]) -> None:
    """Compares what is about to be signed with what was approved; nothing for other batches.

    Args:
        costs: Lamports that this wave costs, by batch.
        slice_ids: The wave's slices, which the caller holds locked.

    Raises:
        ApprovalVoid: There is no approval yet, none any more, or another one: by batch.
    """
    approvals = list(MintApproval.objects.select_related("batch").filter(batch__in=set(costs)))
    if not approvals:
        return
    asked = {each.batch_id for each in approvals}
    kept = {
        (batch_id, number): (id_, bytes(digest or b""))
        for id_, batch_id, number, digest in MintSlice.objects.filter(batch__in=asked)
        .order_by("batch", "number")
        .values_list("id", "batch_id", "number", "digest")
    }
    now = _digests({id_ for id_, _ in kept.values() if id_ in slice_ids})
    for approval in approvals:
        mine = [pair for (batch_id, _), pair in kept.items() if batch_id == approval.batch_id]
        digests = [now.get(id_, digest) for id_, digest in mine]
        if approval.decision != Decision.APPROVED:
            raise ApprovalVoid(approval.batch_id, "it is not approved")
        if approval.expires_at <= database_time():
            raise ApprovalVoid(approval.batch_id, "its approval has expired")
        if _digest_of(approval.batch, approval.fee_cap_lamports, digests) != bytes(approval.digest):
            raise ApprovalVoid(approval.batch_id, "it is not what was approved")
        spent = _spent(approval.batch_id) + costs[approval.batch_id]
        if spent > approval.fee_cap_lamports:
            raise ApprovalVoid(
                approval.batch_id,
                f"it would cost {spent:,} lamports, {approval.fee_cap_lamports:,} were approved",
            )


def _waiting(approval_id: UUID) -> MintApproval:
    """A request that is still open, locked."""
    approval = MintApproval.objects.select_for_update().get(id=approval_id)
    if approval.decision != Decision.WAITING:
        raise ApprovalRefused(f"the request is {approval.decision} already")
    if approval.expires_at <= database_time():
        raise ApprovalRefused("the request has expired")
    return approval


def _decide(approval: MintApproval, decision: Decision, *, by: Any, reason: str) -> MintApproval:
    old = Decision(approval.decision)
    if (old, decision) not in DECISION_MOVES:
        raise ApprovalRefused(f"the request is {old} already")
    approval.decision = decision
    approval.decided_by = by
    approval.decided_at = database_time()
    approval.reason = reason
    approval.save()
    log.info(
        "approval_decided",
        batch_id=str(approval.batch_id),
        decision=decision.value,
        by=by.get_username() if by else "",
    )
    return approval


def _digests(slice_ids: Collection[UUID]) -> dict[UUID, bytes]:
    with connection.cursor() as cursor:
        cursor.execute(_DIGESTS, [list(slice_ids)])
        return {id_: bytes(digest) for id_, digest in cursor.fetchall()}


def _digest_of(batch: MintBatch, fee_cap_lamports: int, slices: list[bytes]) -> bytes:
    return batch_digest(
        batch_id=batch.id,
        mint=batch.mint_address,
        fee_cap_lamports=fee_cap_lamports,
        slices=slices,
    )


def _spent(batch_id: UUID) -> int:
    """Lamports of the batch's transactions that landed or may land."""
    from_journal = MintTransaction.objects.filter(batch=batch_id).exclude(status="expired")
    costs = F("network_fee_lamports") + F("priority_fee_lamports") + F("rent_lamports")
    return int(from_journal.aggregate(all=Sum(costs, default=0))["all"])
