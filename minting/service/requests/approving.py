"""Four eyes: which batches wait for a second person, and what that person decides."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db import transaction

from minting import journal
from minting.conf import approval_policy
from minting.engine.approval import ApprovalPolicy, Asked, fee_cap
from minting.engine.errors import NodeUnreachable
from minting.models import BatchSource, MintApproval, MintBatch
from minting.service import nudges
from minting.service.plan.estimate import Estimate


def hold_if_needed(batch: MintBatch, estimate: Estimate | None, policy: ApprovalPolicy) -> bool:
    """Holds a batch that was just opened if it passes a limit; whether it did.

    Raises:
        NodeUnreachable: Nobody knows what the batch costs, so nobody could approve it.
    """
    if not policy.is_on:
        return False
    if estimate is None:
        raise NodeUnreachable(
            "No node tells what this batch costs, and what costs much needs approval"
        )
    asked = Asked(batch.total_kwh, estimate.cost.total)
    why = policy.why(asked, journal.asked_lately(batch))
    if not why:
        return False
    journal.ask_approval(
        batch,
        why=why,
        fee_cap_lamports=fee_cap(estimate.cost),
        expires_after=policy.expires_after,
    )
    return True


@transaction.atomic
def approve(approval_id: UUID, *, by: Any, digest: bytes, reason: str = "") -> MintBatch:
    """Lets a batch go and calls workers.

    Args:
        approval_id: What was asked.
        by: Who decides.
        digest: Of what this person was shown.
        reason: A remark.

    Raises:
        MintApproval.DoesNotExist: There is no such request.
        ApprovalRefused: It is decided or void, ``by`` asked for it, or the batch is another.
    """
    approval = journal.approve(
        approval_id,
        by=by,
        digest=digest,
        expires_after=approval_policy().expires_after,
        reason=reason,
    )
    nudges.call_workers(approval.batch)
    return approval.batch


@transaction.atomic
def refuse(approval_id: UUID, *, by: Any, reason: str) -> MintBatch:
    """Ends a batch that waits; its readings are free again.

    A batch of the poller's pauses it: it would ask for the same again within the minute.

    Raises:
        MintApproval.DoesNotExist: There is no such request.
        ApprovalRefused: It is decided already.
    """
    batch: MintBatch = journal.refuse_approval(approval_id, by=by, reason=reason).batch
    if batch.source == BatchSource.POLL:
        name = by.get_username()
        why = f"{name} did not approve its batch {batch.pk}: {reason}"
        journal.pause_polling(reason=why, by=name)
    return batch


@transaction.atomic
def expire() -> int:
    """Ends batches that nobody decided about in time; returns how many."""
    return journal.expire_approvals()


def waiting() -> int:
    """Batches that wait for a decision."""
    return MintApproval.objects.waiting().count()
