"""The dashboard's first part: the switch, what waits, what runs, what needs a person."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from minting.admin import polling, show
from minting.models import MintBatch, MintTransaction
from minting.service.requests import approving
from minting.service.stopping import standing_stop
from minting.service.watch import figures
from readings import queries
from readings.backlog import Amount, Pile, total
from readings.rules import ReadingStatus, reason_of


@dataclass(frozen=True, slots=True)
class Tile:
    """One number, where it leads, and what it means."""

    name: str
    value: str
    more: SafeString | str = ""
    href: str = ""
    tone: str = ""
    """``warning`` or ``danger`` where somebody should look; empty: nobody has to."""


@dataclass(frozen=True, slots=True)
class Bar:
    """A batch in progress."""

    batch: MintBatch
    minted: int
    """Per cent of its readings, rounded down: full only when all are."""
    failed: int
    """Rounded up: seen even if it is one of thousands."""

    @property
    def name(self) -> SafeString:
        """When it was made, and by whom or what."""
        by = self.batch.created_by or self.batch.get_source_display()
        return format_html("{}, {}", show.time(self.batch.created_at), by)

    @property
    def href(self) -> str:
        """Its page."""
        return reverse("admin:minting_mintbatch_change", args=[self.batch.pk])

    @property
    def badge(self) -> SafeString:
        """How far."""
        return show.badge(self.batch.status)

    @property
    def told(self) -> str:
        """``120 of 400 readings minted, 3 failed``."""
        batch = self.batch
        words = f"{batch.successful_mints:,} of {show.readings(batch.total_readings)} minted"
        return f"{words}, {batch.failed_mints:,} failed" if batch.failed_mints else words

    @property
    def items(self) -> list[dict[str, Any]]:
        """As unfold's progress bar takes them."""
        return [
            {"title": "Minted", "value": self.minted},
            {
                "title": "Failed",
                "value": self.failed,
                "progress_class": "bg-red-500 dark:bg-red-500",
            },
        ]


@dataclass(frozen=True, slots=True)
class Concern:
    """What stands still until somebody looks, and where."""

    badge: SafeString
    text: SafeString | str
    href: str


def show_work(request: HttpRequest) -> dict[str, Any]:
    """All of the part, each piece for those who may see it."""
    may = request.user.has_perm
    heap = figures.backlog() if may("readings.view_meterreading") else None
    today = figures.today() if may("minting.view_minttransaction") else None
    running = figures.open_batches() if may("minting.view_mintbatch") else None
    pending = total(heap, ReadingStatus.PENDING).readings if heap is not None else 0
    stop = standing_stop()
    standing = figures.concerns()
    return {
        "stop": stop,
        "gate": standing.gate,
        "stop_since": show.time(stop.stopped_at) if stop else "",
        "may_stop": may("minting.stop_minting"),
        "may_resume": may("minting.resume_minting"),
        "may_mint": may("minting.mint_readings"),
        "polling": polling.shown(request) if may("minting.view_pollingpause") else None,
        "tiles": [*_waiting(heap), *_minted(today)],
        "sees_batches": running is not None,
        "bars": list(map(bar, running.batches)) if running else [],
        "more_batches": running.count - len(running.batches) if running else 0,
        "batches_link": show.link(reverse("admin:minting_mintbatch_changelist"), "All batches"),
        "concerns": list(_concerns(request, heap, standing)),
        "pending": pending,
        "pending_words": show.readings(pending),
        "pending_url": _readings(ReadingStatus.PENDING),
    }


def bar(batch: MintBatch) -> Bar:
    """How far a batch is."""
    whole = batch.total_readings or 1
    return Bar(batch, 100 * batch.successful_mints // whole, -(-100 * batch.failed_mints // whole))


# ------------------------------------------------------------------ numbers


def _waiting(heap: list[Pile] | None) -> Iterator[Tile]:
    if heap is None:
        return
    # Two rows of four, with what was minted.
    for name, status, tone in (
        ("Pending", ReadingStatus.PENDING, ""),
        ("Held", ReadingStatus.HELD, "warning"),
        ("Retrying", ReadingStatus.RETRYING, "warning"),
        ("Failed", ReadingStatus.FAILED, "danger"),
        ("Being minted", ReadingStatus.MINTING, ""),
        ("In doubt", ReadingStatus.IN_DOUBT, "warning"),
    ):
        amount = total(heap, status)
        yield Tile(
            name,
            f"{amount.readings:,}",
            show.kwh(amount.kwh),
            _readings(status),
            tone if amount.readings else "",
        )


def _minted(day: figures.Day | None) -> Iterator[Tile]:
    if day is None:
        return
    failed = f", {day.failed:,} failed" if day.failed else ""
    yield Tile(
        "Minted today (UTC)",
        f"{day.readings:,}",
        f"{show.tokens(day.base_units)}{failed}",
        reverse("admin:minting_minttransaction_changelist"),
    )
    yield Tile(
        "Paid today (UTC)",
        show.sol(day.spent),
        f"fees {show.sol(day.fees)}, rent {show.sol(day.rent)}",
    )


# ------------------------------------------------------------------ what needs a person


def _concerns(
    request: HttpRequest, heap: list[Pile] | None, standing: figures.Concerns
) -> Iterator[Concern]:
    may = request.user.has_perm
    yield from _second_persons(request)
    if may("minting.view_reconcilefinding"):
        yield from _differences(standing)
    if may("minting.view_minttransaction"):
        yield from _doubts()
    if may("minting.view_mintbatch"):
        for parked in standing.parked:
            yield Concern(
                show.badge("held", "parked"),
                format_html(
                    "slice {} until {}: {}",
                    parked.number,
                    show.time(parked.parked_until),
                    parked.parked_reason,
                ),
                reverse("admin:minting_mintbatch_change", args=[parked.batch_id]),
            )
    for status in (ReadingStatus.FAILED, ReadingStatus.HELD):
        yield from _standing_still(heap or [], status)


def _second_persons(request: HttpRequest) -> Iterator[Concern]:
    """What waits for one, for those who may see it."""
    may = request.user.has_perm
    if may("minting.view_mintapproval") and (count := approving.waiting()):
        words = "1 batch waits" if count == 1 else f"{count:,} batches wait"
        place = f"{reverse('admin:minting_mintapproval_changelist')}?decision__exact=waiting"
        yield _approval(words, place)
    if may("readings.view_walletchange") and (count := queries.waiting_wallet_changes()):
        words = "1 changed wallet waits" if count == 1 else f"{count:,} changed wallets wait"
        place = f"{reverse('admin:readings_walletchange_changelist')}?status__exact=proposed"
        yield _approval(words, place)


def _approval(words: str, place: str) -> Concern:
    return Concern(
        show.badge("awaiting_approval", "approval"), f"{words} for another person", place
    )


def _differences(standing: figures.Concerns) -> Iterator[Concern]:
    findings = reverse("admin:minting_reconcilefinding_changelist")
    if standing.gate:
        text = f"Nothing is signed: {standing.gate}"
        yield Concern(show.badge("failed", "gate closed"), text, findings)
    if standing.differences:
        count = standing.differences
        text = f"{count:,} difference{'' if count == 1 else 's'} between chain and journal"
        yield Concern(show.badge("failed", "differs"), text, findings)


def _doubts() -> Iterator[Concern]:
    doubts = figures.doubts()
    for row in doubts.transactions:
        yield Concern(show.badge("in_doubt"), _doubtful(row), _transaction(row))
    if doubts.count > len(doubts.transactions):
        whole = f"{reverse('admin:minting_minttransaction_changelist')}?doubt=1"
        yield Concern(show.badge("in_doubt"), f"all {doubts.count:,} transactions in doubt", whole)


def _doubtful(row: MintTransaction) -> SafeString:
    return format_html(
        "transaction {} of {}, since {}",
        show.short(row.signature),
        show.readings(len(row.reading_ids)),
        show.time(row.doubted_at),
    )


def _standing_still(heap: list[Pile], status: ReadingStatus) -> Iterator[Concern]:
    """By cause, the commonest first: each list is one click away."""
    causes = [pile for pile in heap if pile.status is status]
    for pile in sorted(causes, key=lambda each: -each.amount.readings):
        yield Concern(
            show.badge(status.value), _cause(pile.code, pile.amount), _readings(status, pile.code)
        )


def _cause(code: str, amount: Amount) -> str:
    words = f"{show.readings(amount.readings)}, {show.kwh(amount.kwh)}"
    sentence = reason_of(code) or code.replace("_", " ")
    return f"{words}: {sentence}" if sentence else words


def _readings(status: ReadingStatus, code: str = "") -> str:
    narrowed = f"&reason={code}" if code and reason_of(code) else ""
    return f"{reverse('admin:readings_meterreading_changelist')}?status__exact={status}{narrowed}"


def _transaction(row: MintTransaction) -> str:
    return reverse("admin:minting_minttransaction_change", args=[row.pk])
