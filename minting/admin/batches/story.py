"""What a batch's page tells besides its progress: the story, the costs, what failed and why.

A constant number of statements, whatever the batch holds. The page asks for this part again when
its progress says that something changed (``minting/static/minting/batch.js``).
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db import connection
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html_join
from django.utils.safestring import SafeString

from minting.admin import explorer, show, tables
from minting.admin.audit.doubts import batch_doubts
from minting.admin.batches.costs import costs
from minting.admin.batches.failures import failure_rows, failures
from minting.admin.batches.flights import flights_of
from minting.admin.batches.timeline import timeline
from minting.models import MintApproval, MintBatch
from minting.service.watch.progress import progress_of
from readings.admin import copying

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


def story(batch: MintBatch, request: HttpRequest) -> dict[str, Any]:
    """Everything that the part of the page shows which is asked for again."""
    may_mint = request.user.has_perm("minting.mint_readings")
    seen = progress_of(batch)
    flights = flights_of(batch)
    failed = failures(batch)
    approval = MintApproval.objects.filter(batch=batch).select_related("decided_by").first()
    newest = batch.transactions.defer("raw", "error", "memo_root")[:SHOWN]
    return {
        "badge": show.badge(batch.status),
        "can_cancel": may_mint and not batch.is_final,
        "can_retry": may_mint and any(each.again and not each.cancelled for each in failed),
        "may_look": may_mint,
        "facts": facts(batch),
        "costs": costs(batch, flights),
        "approval": approval,
        "timeline": timeline(batch, seen, flights, approval),
        "transactions": tables.transaction_rows(newest),
        "transactions_link": whole("minttransaction", batch, flights.signed),
        "failed": failure_rows(batch, failed, may_retry=may_mint) if failed else None,
        "failed_link": whole("mintresult", batch, batch.failed_mints, success="0"),
        "doubts": batch_doubts(batch) if flights.doubtful else [],
        "doubts_link": whole("minttransaction", batch, flights.doubtful, doubt="1"),
    }


def facts(batch: MintBatch) -> list[tuple[str, SafeString | str]]:
    """What it is, whatever becomes of it."""
    mint = copying.together(
        show.shortened(batch.mint_address),
        copying.button(batch.mint_address, "mint's address"),
        explorer.address(batch.mint_address, batch.genesis_hash, "the mint"),
    )
    id_ = copying.together(str(batch.pk), copying.button(str(batch.pk), "batch id"))
    known = [
        ("Batch", id_),
        ("Source", batch.get_source_display()),
        ("Asked for by", str(batch.created_by or "")),
        ("API calls", whole("apicall", batch, batch.api_calls.count(), app="access")),
        ("Retry of", show.row_link(batch.retry_of)),
        ("Tried again in", _retries(batch)),
        ("Mint", mint),
    ]
    return [(name, value) for name, value in known if value]


def _retries(batch: MintBatch) -> SafeString | str:
    if not batch.failed_mints:
        return ""
    retries = batch.retries.order_by("id")[:SHOWN]
    return format_html_join(", ", "{}", ((show.row_link(each),) for each in retries))


def left_out(batch: MintBatch) -> list[tables.Reason]:
    """Readings of the request that never got into the batch, by code."""
    with connection.cursor() as cursor:
        cursor.execute(_EXCLUDED, [tables.EXAMPLES, batch.pk])
        return [
            tables.Reason(code, sentence, count, [UUID(each) for each in examples])
            for code, sentence, count, examples in cursor.fetchall()
        ]


def whole(
    model: str, batch: MintBatch, count: int, *, app: str = "minting", **filters: str
) -> SafeString | str:
    """A link to the whole list, in its admin."""
    if not count:
        return ""
    query = "&".join(f"{name}={value}" for name, value in {"batch": batch.pk, **filters}.items())
    url = f"{reverse(f'admin:{app}_{model}_changelist')}?{query}"
    return show.link(url, show.unbroken(f"All {count:,}"))
