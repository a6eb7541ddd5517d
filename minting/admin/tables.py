"""Rows as unfold's table component takes them: the same results and transactions on every page."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from minting.admin import show
from minting.models import MintResult, MintTransaction
from readings import queries
from readings.models import MeterReading

EXAMPLES = 3
"""Readings named for each reason."""


@dataclass(frozen=True, slots=True)
class Reason:
    """Readings that share a reason for not being minted."""

    code: str
    sentence: str
    count: int
    examples: Sequence[UUID]


def table(headers: Sequence[str], rows: Iterable[Sequence[Any]]) -> dict[str, Any]:
    """Headers and rows."""
    return {"headers": list(headers), "rows": [list(row) for row in rows]}


def result_rows(results: Iterable[MintResult]) -> dict[str, Any]:
    """Results of one reading, by batch."""
    return table(
        ["Batch", "Status", "Wallet", "Tokens", "Transaction", "Why"],
        [
            [
                show.row_link(result.batch, show.time(result.batch.created_at)),
                show.badge(result.status),
                show.shortened(result.wallet_address),
                show.tokens(result.base_units),
                signature_of(result),
                result.error,
            ]
            for result in results
        ],
    )


def transaction_rows(transactions: Iterable[MintTransaction]) -> dict[str, Any]:
    """Transactions of one batch."""
    return table(
        ["Signature", "Status", "Readings", "Tokens", "Fee", "Rent", "Slot", ""],
        [
            [
                show.row_link(each, show.short(each.signature), title=each.signature),
                show.badge(each.status),
                len(each.reading_ids),
                show.tokens(each.base_units),
                show.lamports(each.network_fee_lamports + each.priority_fee_lamports),
                show.lamports(each.rent_lamports),
                each.slot or "",
                explorer_link(each),
            ]
            for each in transactions
        ],
    )


def reason_rows(reasons: Sequence[Reason]) -> dict[str, Any]:
    """Reasons with how many readings they concern, and which, for example."""
    ids = [reading_id for reason in reasons for reading_id in reason.examples]
    known = {reading.id: reading for reading in queries.readings_for_display(ids)}
    return table(
        ["Readings", "Reason", "Code", "For example"],
        [
            [f"{reason.count:,}", reason.sentence, reason.code, _examples(reason, known)]
            for reason in reasons
        ],
    )


def signature_of(result: MintResult) -> SafeString | str:
    """The signature of what pays a result, or is about to, linked to the transaction."""
    if (transaction := result.transaction) is None:
        return show.shortened(result.tx_signature)
    signature = transaction.signature
    return show.row_link(transaction, show.short(signature), title=signature)


def explorer_link(transaction: MintTransaction) -> SafeString | str:
    """The way out to the explorer, where there is one."""
    url = show.explorer_url(transaction.signature, transaction.genesis_hash)
    return show.link(url, "Explorer") if url else ""


def reading_name(reading: MeterReading) -> SafeString:
    """Meter and period: what people call a reading by."""
    when = show.times(reading.period_start, reading.period_end)
    return format_html("{}, {}", reading.meter.serial, when)


def _examples(reason: Reason, known: Mapping[UUID, MeterReading]) -> SafeString:
    named = [known[each] for each in reason.examples if each in known]
    lines = ((show.row_link(each, reading_name(each)),) for each in named)
    return format_html("<div>{}</div>", format_html_join("", "<div>{}</div>", lines))
