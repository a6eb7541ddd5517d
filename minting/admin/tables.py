"""Rows as unfold's table component takes them: the same results and transactions on every page."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from minting.admin import explorer, show
from minting.models import MintResult, MintTransaction
from minting.service.drive.doubt import doubt_of
from readings import queries
from readings.admin import copying
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
                wallet_cell(result.wallet_address, result.batch.genesis_hash),
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
        ["Signature", "Status", "Readings", "Tokens", "Fee", "Rent", "Slot"],
        [
            [
                signature_cell(each),
                transaction_badge(each),
                f"{len(each.reading_ids):,}",
                show.tokens(each.base_units),
                show.lamports(each.network_fee_lamports + each.priority_fee_lamports),
                show.lamports(each.rent_lamports),
                f"{each.slot:,}" if each.slot is not None else "",
            ]
            for each in transactions
        ],
    )


def transaction_badge(transaction: MintTransaction) -> SafeString:
    """Its status; where it is in doubt, that, which is what one has to know."""
    return show.badge("in_doubt" if doubt_of(transaction) else transaction.status)


def signature_cell(transaction: MintTransaction) -> SafeString:
    """A signature's ends, linked to its page; to copy, and to look at in the explorer."""
    signature = transaction.signature
    return copying.together(
        show.row_link(transaction, show.short(signature), title=signature),
        copying.button(signature, "signature"),
        explorer.transaction(signature, transaction.genesis_hash),
    )


def wallet_cell(wallet: str, genesis_hash: str) -> SafeString | str:
    """A wallet's ends; to copy, and to look at in the explorer."""
    if not wallet:
        return ""
    return copying.together(
        show.shortened(wallet),
        copying.button(wallet, "wallet"),
        explorer.address(wallet, genesis_hash),
    )


def reason_rows(reasons: Sequence[Reason]) -> dict[str, Any]:
    """Reasons with how many readings they concern, and which, for example."""
    known = readings_named(reasons)
    return table(
        ["Readings", "Reason", "Code", "For example"],
        [
            [f"{reason.count:,}", reason.sentence, reason.code, examples(reason, known)]
            for reason in reasons
        ],
    )


def readings_named(reasons: Iterable[Reason]) -> dict[UUID, MeterReading]:
    """The examples of all reasons, by id: one statement."""
    ids = [reading_id for reason in reasons for reading_id in reason.examples]
    return {reading.id: reading for reading in queries.readings_for_display(ids)}


def sentence(reason: Reason) -> SafeString:
    """What happened, and its code for whoever looks it up."""
    return format_html(
        '<div>{}<div class="text-subtle text-xs">{}</div></div>', reason.sentence, reason.code
    )


def signature_of(result: MintResult) -> SafeString | str:
    """The signature of what pays a result, or is about to, linked to the transaction."""
    if result.transaction is None:
        return show.shortened(result.tx_signature)
    return signature_cell(result.transaction)


def reading_name(reading: MeterReading) -> SafeString:
    """Meter and period: what people call a reading by."""
    when = show.times(reading.period_start, reading.period_end)
    return format_html("{}, {}", reading.meter.serial, when)


def examples(reason: Reason, known: Mapping[UUID, MeterReading]) -> SafeString:
    """Some of its readings, linked."""
    named = [known[each] for each in reason.examples if each in known]
    lines = ((show.row_link(each, reading_name(each)),) for each in named)
    return format_html("<div>{}</div>", format_html_join("", "<div>{}</div>", lines))
