"""Readings of a batch that ended without tokens, by reason: for how long, and what to do."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from django.contrib.postgres.aggregates import ArrayAgg
from django.contrib.postgres.fields import ArrayField
from django.db.models import Count, Func, Min, Q, UUIDField
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from minting.admin import show, tables
from minting.engine.states import ResultStatus
from minting.models import MintBatch
from minting.models.fields import values
from minting.models.result import ENDED_WITHOUT_TOKENS
from minting.service.requests.retry import AGAIN

_FIRST_READINGS = Func(
    ArrayAgg("reading"),
    template=f"(%(expressions)s)[1:{tables.EXAMPLES}]",
    output_field=ArrayField(UUIDField()),
)


@dataclass(frozen=True, slots=True)
class Failure:
    """Readings that ended alike."""

    reason: tables.Reason
    cancelled: bool
    permanent: bool
    again: int
    """How many of them may be minted now, by hand."""
    waiting: int
    """How many are tried again by themselves."""
    due: datetime | None
    """When the first of these is."""


def failures(batch: MintBatch) -> list[Failure]:
    """Failed and cancelled readings by reason, the commonest first."""
    if not batch.failed_mints:
        return []
    groups = (
        # By the statuses, since the index is over these.
        batch.results.filter(status__in=values(ENDED_WITHOUT_TOKENS))
        .order_by()
        .values("status", "error_code", "permanent")
        .annotate(
            count=Count("id"),
            sentence=Min("error"),
            examples=_FIRST_READINGS,
            again=Count("id", filter=Q(reading__status__in=list(AGAIN))),
            waiting=Count("retry_at"),
            due=Min("retry_at"),
        )
        .order_by("-count")
    )
    return [_failure(dict(each)) for each in groups]


def _failure(row: dict[str, Any]) -> Failure:
    return Failure(
        reason=tables.Reason(row["error_code"], row["sentence"], row["count"], row["examples"]),
        cancelled=row["status"] == ResultStatus.CANCELLED,
        permanent=row["permanent"],
        again=row["again"],
        waiting=row["waiting"],
        due=row["due"],
    )


def failure_rows(batch: MintBatch, found: list[Failure], *, may_retry: bool) -> dict[str, Any]:
    """A row a reason, with the button that tries again just these."""
    known = tables.readings_named(each.reason for each in found)
    buttons = [[_button(batch, each)] if may_retry else [] for each in found]
    return tables.table(
        ["Readings", "Reason", "Kind", "Then", "For example", *([""] if may_retry else [])],
        [
            [
                f"{each.reason.count:,}",
                tables.sentence(each.reason),
                kind(each),
                then(each),
                tables.examples(each.reason, known),
                *button,
            ]
            for each, button in zip(found, buttons, strict=True)
        ],
    )


def kind(failure: Failure) -> SafeString:
    """Whether trying again would fail the same way."""
    if failure.cancelled:
        return show.badge("cancelled")
    if failure.permanent:
        return show.badge("failed", "permanent")
    return show.badge("retrying", "transient")


def then(failure: Failure) -> SafeString | str:
    """What becomes of them."""
    if failure.cancelled:
        return "Free: they can be selected anew"
    if failure.waiting:
        return format_html("{} tried again by itself, at {}", _who(failure), show.time(failure.due))
    if not failure.again:
        return "Minted, taken or held by now"
    if failure.permanent:
        return "Remove the cause, then retry"
    return "No automatic retry is left: retry by hand"


def _who(failure: Failure) -> str:
    if failure.waiting == failure.reason.count:
        return "It is" if failure.waiting == 1 else "All are"
    return f"{failure.waiting:,} of them {'is' if failure.waiting == 1 else 'are'}"


def _button(batch: MintBatch, failure: Failure) -> SafeString | str:
    if failure.cancelled or not failure.again:
        return ""
    url = reverse("admin:minting_mintbatch_retry", args=[batch.pk])
    return format_html(
        '<a href="{}?{}" class="gt-button" aria-label="Retry {} that failed: {}">Retry {}…</a>',
        url,
        urlencode({"code": failure.reason.code}),
        show.readings(failure.again),
        failure.reason.code,
        f"{failure.again:,}",
    )
