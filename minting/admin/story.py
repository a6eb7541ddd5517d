"""What a batch's page tells: how far it is, what it cost, what failed and why, what is unclear.

A constant number of queries, whatever the batch holds: the page asks again every few seconds.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from django.contrib.postgres.aggregates import ArrayAgg
from django.contrib.postgres.fields import ArrayField
from django.db import connection
from django.db.models import Count, Func, Min, UUIDField
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from minting.admin import show, tables
from minting.engine.states import ResultStatus
from minting.models import MintBatch, MintResult, MintSlice

SHOWN = 20
"""Rows of a table before the page links to the whole list."""

# In the database, for a batch may leave out as many readings as it holds.
_EXCLUDED = """
SELECT item->>'code', min(item->>'reason'), count(*), (array_agg(item->>'reading_id'))[1:%s]
  FROM minting_mintbatch, jsonb_array_elements(excluded) AS item
 WHERE id = %s
 GROUP BY 1
 ORDER BY 3 DESC
"""

_FIRST_READINGS = Func(
    ArrayAgg("reading"),
    template=f"(%(expressions)s)[1:{tables.EXAMPLES}]",
    output_field=ArrayField(UUIDField()),
)


def story(batch: MintBatch) -> dict[str, Any]:
    """Everything that the template shows besides the batch itself."""
    transactions = batch.transactions.defer("raw", "evidence", "error")
    doubtful = batch.results.filter(status=ResultStatus.IN_DOUBT.value)
    return {
        "badge": show.badge(batch.status),
        "refreshes": not batch.is_final,
        "counters": counters(batch),
        "progress": progress(batch),
        "facts": facts(batch),
        "costs": costs(batch),
        "transactions": tables.transaction_rows(transactions[:SHOWN]),
        "transactions_link": _whole("minttransaction", batch, transactions.count()),
        "failed": _reason_table(failures(batch)),
        "failed_link": _whole("mintresult", batch, batch.failed_mints, success="0"),
        "doubtful": doubt_rows(doubtful.select_related("reading__meter", "transaction")[:SHOWN]),
        "excluded": _reason_table(left_out(batch)),
        "results_link": _whole("mintresult", batch, batch.total_readings),
    }


def counters(batch: MintBatch) -> list[tuple[str, str]]:
    """Readings by outcome."""
    return [
        ("Readings", f"{batch.total_readings:,}"),
        ("Minted", f"{batch.successful_mints:,}"),
        ("Failed", f"{batch.failed_mints:,}"),
        ("Open", f"{batch.pending_mints:,}"),
    ]


def progress(batch: MintBatch) -> list[dict[str, Any]]:
    """Bars of unfold's progress component, in percent of all readings."""
    total = batch.total_readings or 1
    return [
        {"title": "Minted", "value": 100 * batch.successful_mints // total},
        {
            "title": "Failed",
            "value": -(-100 * batch.failed_mints // total),
            "progress_class": "bg-red-500 dark:bg-red-500",
        },
    ]


def facts(batch: MintBatch) -> list[tuple[str, SafeString | str]]:
    """Who, when, after what."""
    known = [
        ("Source", batch.get_source_display()),
        ("Asked for by", str(batch.created_by or "")),
        ("Created", show.time(batch.created_at)),
        ("Started", show.time(batch.started_at)),
        ("Finished", show.time(batch.finished_at)),
        ("Cancel asked for", show.time(batch.cancel_requested_at)),
        ("Retry of", show.row_link(batch.retry_of)),
        ("Tried again in", _retries(batch)),
        ("Next retry due", show.time(_next_retry(batch))),
        ("Mint", batch.mint_address),
        *((f"Slice {each.number} parked", parked(each)) for each in batch.slices.parked()[:SHOWN]),
    ]
    return [(name, value) for name, value in known if value]


def _retries(batch: MintBatch) -> SafeString | str:
    retries = batch.retries.order_by("id")[:SHOWN]
    return format_html_join(", ", "{}", ((show.row_link(each),) for each in retries))


def _next_retry(batch: MintBatch) -> datetime | None:
    """When the first of its failures is tried again by itself."""
    if not batch.failed_mints:
        return None
    return (
        batch.results.filter(status=ResultStatus.FAILED, retry_at__isnull=False)
        .order_by("retry_at")
        .values_list("retry_at", flat=True)
        .first()
    )


def parked(slice_: MintSlice) -> SafeString:
    """Why workers leave it alone, and how long."""
    return format_html("until {}: {}", show.time(slice_.parked_until), slice_.parked_reason)


def costs(batch: MintBatch) -> dict[str, Any]:
    """The estimate against what was paid."""
    fee, rent = batch.fee_estimate_lamports, batch.rent_estimate_lamports
    total = None if fee is None or rent is None else fee + rent
    paid = batch.fee_paid_lamports + batch.rent_paid_lamports
    return tables.table(
        ["", "Estimate", "Paid"],
        [
            ["Fees", _estimate(fee), show.lamports(batch.fee_paid_lamports)],
            ["Rent", _estimate(rent), show.lamports(batch.rent_paid_lamports)],
            ["Total", _estimate(total), f"{show.lamports(paid)} ({show.sol(paid)})"],
        ],
    )


def failures(batch: MintBatch) -> list[tables.Reason]:
    """Failed and cancelled readings by code, the commonest first."""
    if not batch.failed_mints:
        return []
    groups = (
        batch.results.filter(success=False)
        .order_by()
        .values("error_code")
        .annotate(
            count=Count("id"),
            sentence=Min("error"),
            examples=_FIRST_READINGS,
        )
        .order_by("-count")
    )
    return [
        tables.Reason(each["error_code"], each["sentence"], each["count"], each["examples"])
        for each in groups
    ]


def left_out(batch: MintBatch) -> list[tables.Reason]:
    """Readings of the request that never got into the batch, by code."""
    with connection.cursor() as cursor:
        cursor.execute(_EXCLUDED, [tables.EXAMPLES, batch.pk])
        return [
            tables.Reason(code, sentence, count, [UUID(each) for each in examples])
            for code, sentence, count, examples in cursor.fetchall()
        ]


def doubt_rows(results: Any) -> dict[str, Any]:
    """Readings whose transaction's fate is not known yet."""
    return tables.table(
        ["Reading", "Wallet", "Transaction", "In doubt since"],
        [_doubt_row(result) for result in results],
    )


def _doubt_row(result: MintResult) -> list[Any]:
    since = result.transaction.doubted_at if result.transaction else None
    return [
        show.row_link(result.reading, tables.reading_name(result.reading)),
        show.shortened(result.wallet_address),
        tables.signature_of(result),
        show.time(since),
    ]


def _reason_table(reasons: list[tables.Reason]) -> dict[str, Any] | None:
    return tables.reason_rows(reasons) if reasons else None


def _whole(model: str, batch: MintBatch, count: int, **filters: str) -> SafeString | str:
    """A link to the whole list, in its admin."""
    if not count:
        return ""
    query = "&".join(f"{name}={value}" for name, value in {"batch": batch.pk, **filters}.items())
    return show.link(f"{reverse(f'admin:minting_{model}_changelist')}?{query}", f"All {count:,}")


def _estimate(amount: int | None) -> str:
    return "none was made" if amount is None else show.lamports(amount)
