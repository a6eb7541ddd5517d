"""A batch and an estimate as people and programs get them: the API and ``--json`` alike.

The fields are contract.md's; every value is one that JSON has.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db.models import Count

from minting.engine.states import TransactionStatus
from minting.journal import open_findings
from minting.models import MintBatch, MintResult, MintTransaction, ReconcileFinding
from minting.service.audit.reconcile import ReconcileReport
from minting.service.requests.prepare import Preview

WHOLE_RESULTS = 1_000
"""Readings up to which the API carries a batch's results in its description."""

_RESULT_COLUMNS = ("reading_id", "success", "status", "error", "error_code", "tx_signature", "slot")


def describe_batch(batch: MintBatch, *, with_results: bool) -> dict[str, Any]:
    """A batch as JSON values.

    Args:
        batch: As it was read from the database.
        with_results: Whether ``results`` is whole; else it is null, and ``results_url`` has them.
    """
    description = _describe(batch, _count_transactions([batch]))
    if with_results:
        rows = MintResult.objects.filter(batch=batch).order_by("reading_id").only(*_RESULT_COLUMNS)
        description["results"] = [describe_result(row) for row in rows]
    return description


def describe_batches(batches: Sequence[MintBatch]) -> list[dict[str, Any]]:
    """Many batches, without their results, in a constant number of queries."""
    transactions = _count_transactions(batches)
    return [_describe(batch, transactions) for batch in batches]


def describe_result(result: MintResult) -> dict[str, Any]:
    """What became of one reading, as JSON values."""
    return {
        "reading_id": str(result.reading_id),
        "success": result.success,
        "status": str(result.status),
        "error": result.error or None,
        "error_code": result.error_code or None,
        "tx_signature": result.tx_signature or None,
        "slot": result.slot,
    }


def describe_reconciliation(report: ReconcileReport) -> dict[str, Any]:
    """A run, what it left open, and what was adopted, as JSON values."""
    run = report.run
    findings = open_findings(run.mint).order_by("id")
    return {
        "id": str(run.id),
        "status": str(run.status),
        "slot": run.to_slot,
        "transactions_seen": run.transactions_seen,
        "transactions_read": run.transactions_read,
        "audited": run.audited,
        "supply_on_chain": _whole(run.supply_on_chain),
        "supply_explained": _whole(run.supply_explained),
        "in_flight": run.in_flight,
        "differences": run.differences,
        "findings": [_describe_finding(row) for row in findings[:WHOLE_RESULTS]],
        "adopted": report.adopted.adopted if report.adopted else 0,
        "held": [asdict(held) for held in report.adopted.held] if report.adopted else [],
    }


def _describe_finding(row: ReconcileFinding) -> dict[str, Any]:
    return {
        "id": str(row.id),
        "kind": str(row.kind),
        "signature": row.signature or None,
        "wallet": row.wallet or None,
        "on_chain": _whole(row.on_chain),
        "in_journal": _whole(row.in_journal),
        "detail": row.detail,
    }


def _whole(amount: Decimal | None) -> int | None:
    """Base units: JSON's numbers are whole here."""
    return None if amount is None else int(amount)


def results_path(batch_id: UUID) -> str:
    """Where the API shows a batch's results, page by page."""
    return f"/api/v1/mint-batches/{batch_id}/results"


def describe_estimate(seen: Preview) -> dict[str, Any]:
    """The plan's exact cost and who is left out, as JSON values.

    Raises:
        ValueError: The preview has no estimate; ``estimate_readings`` always has one.
    """
    if seen.estimate is None:
        raise ValueError("a preview without an estimate")
    return {
        **seen.estimate.as_json(),
        "excluded": [
            {"reading_id": str(item.reading_id), "code": item.code, "reason": item.detail}
            for item in seen.excluded
        ],
    }


def _describe(batch: MintBatch, transactions: dict[UUID, int]) -> dict[str, Any]:
    return {
        "id": str(batch.id),
        "status": str(batch.status),
        "source": str(batch.source),
        "created_at": _instant(batch.created_at),
        "retry_of": str(batch.retry_of_id) if batch.retry_of_id else None,
        "total_readings": batch.total_readings,
        "successful_mints": batch.successful_mints,
        "failed_mints": batch.failed_mints,
        "pending_mints": batch.pending_mints,
        "error_code": batch.error_code or None,
        "fee_estimate_lamports": batch.fee_estimate_lamports,
        "rent_estimate_lamports": batch.rent_estimate_lamports,
        "fee_paid_lamports": batch.fee_paid_lamports,
        "rent_paid_lamports": batch.rent_paid_lamports,
        "transactions": transactions.get(batch.id, 0),
        "results_url": results_path(batch.id),
        "results": None,
    }


def _count_transactions(batches: Iterable[MintBatch]) -> dict[UUID, int]:
    """Transactions by batch that landed or may land: what is proven dead cost nothing."""
    rows = (
        MintTransaction.objects.filter(batch__in=[batch.id for batch in batches])
        .exclude(status=TransactionStatus.EXPIRED)
        .order_by()
        .values("batch")
        .annotate(number=Count("id"))
    )
    return {row["batch"]: row["number"] for row in rows}


def _instant(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
