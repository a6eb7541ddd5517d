"""What needs a person, the worst first: numbers, codes and links, no names and no wallets."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from django.db.models import Count, Min
from django.urls import reverse
from django.utils import timezone

from minting import journal
from minting.engine.states import ResultStatus
from minting.models import (
    MintApproval,
    MintingGate,
    MintResult,
    MintSlice,
    MintTransaction,
    ReconcileFinding,
    WebhookEndpoint,
)
from minting.models.fields import first_id_since
from minting.service.drive.doubt import IN_DOUBT
from minting.service.polling import book
from minting.service.watch import chain_health, figures, worker_health
from minting.service.watch.figures import WAITED, Day
from minting.service.watch.runway import runway
from readings import queries
from readings.backlog import total
from readings.rules import ReadingStatus

LOW_DAYS = 7
"""Days of SOL, at the pace of the last week, below which somebody should send more."""

STALE = timedelta(hours=1)
"""Without a comparison of chain and journal, of which there is one every ten minutes."""

LAMPORTS_A_SOL = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Concern:
    """One thing that stands still, or soon will, until somebody looks."""

    title: str
    """Short: the subject's words, if it is the worst."""
    text: str
    """A sentence or two."""
    path: str
    """Of the admin's page about it."""


@dataclass(frozen=True, slots=True)
class Report:
    """All that a digest tells."""

    day: date
    """UTC; the last whole one, which the numbers are about."""
    concerns: tuple[Concern, ...]
    minted: Day
    waiting: int
    """Readings that may be minted now."""
    held: int


def report(today: date) -> Report:
    """Asks the tables, and of the chain what was last seen."""
    day = today - timedelta(days=1)
    heap = figures.backlog()
    numbers = next((each for each in figures.month() if each.day == day), Day(day))
    return Report(
        day=day,
        concerns=tuple(_all(day)),
        minted=numbers,
        waiting=total(heap, ReadingStatus.PENDING).readings,
        held=total(heap, ReadingStatus.HELD).readings,
    )


def _all(day: date) -> Iterator[Concern]:
    yield from _stopped()
    yield from _differences()
    yield from _doubts()
    yield from _authority()
    yield from _workers()
    yield from _nodes()
    yield from _failures(day)
    yield from _polling()
    yield from _standing()


def _page(name: str, query: str = "") -> str:
    return reverse(f"admin:{name}") + query


def _stopped() -> Iterator[Concern]:
    gate = MintingGate.objects.filter(closed_since__isnull=False).first()
    if gate is not None and gate.closed_since is not None:
        yield Concern(
            "the gate is closed",
            f"Nothing is signed since {_moment(gate.closed_since)}: {gate.reason}",
            _page("minting_reconcilefinding_changelist"),
        )
    stop = journal.current_stop()
    if stop is not None:
        yield Concern(
            "minting is stopped",
            f"Nothing is signed since {_moment(stop.stopped_at)}: {stop.reason}",
            _page("index"),
        )


def _differences() -> Iterator[Concern]:
    open_ = ReconcileFinding.objects.filter(resolved_at__isnull=True, acknowledged_at__isnull=True)
    kinds = open_.order_by().values_list("kind").annotate(Count("id"))
    counted = dict(kinds)
    if counted:
        yield Concern(
            _many(sum(counted.values()), "difference"),
            f"Chain and journal disagree, and nobody explained it yet: {_listed(counted.items())}.",
            _page("minting_reconcilefinding_changelist"),
        )
    compared_at = figures.compared_at()
    if compared_at is not None and timezone.now() - compared_at > STALE:
        yield Concern(
            "chain and journal are not compared",
            f"Not since {_moment(compared_at)}, though it is tried every ten minutes: a node lacks "
            "history or does not answer. `manage.py reconcile` tells which.",
            _page("minting_reconcilerun_changelist"),
        )


def _doubts() -> Iterator[Concern]:
    found = MintTransaction.objects.filter(IN_DOUBT).aggregate(
        count=Count("id"), oldest=Min("doubted_at")
    )
    if found["count"]:
        yield Concern(
            f"{_many(found['count'], 'transaction')} in doubt",
            "They neither landed nor are proven dead, and their readings wait; "
            f"the oldest since {_moment(found['oldest'])}.",
            _page("minting_minttransaction_changelist", "?doubt=1"),
        )


def _authority() -> Iterator[Concern]:
    payer = chain_health.remembered().payer
    if payer is None or payer.lamports is None:
        return
    left = runway(payer.lamports, payer.floor, figures.recent_cost(), figures.month())
    waiting = total(figures.backlog(), ReadingStatus.PENDING).readings
    has = f"The mint authority {payer.address} has {sol(payer.lamports)} SOL"
    if left.lamports == 0 or left.readings == 0:
        yield Concern("out of SOL", f"{has}: nothing can be minted.", _page("index"))
    elif left.days is not None and left.days < LOW_DAYS:
        lasts = _many(left.days, "day")
        yield Concern("SOL runs low", f"{has}: at last week's pace {lasts} more.", _page("index"))
    elif left.readings is not None and left.readings < waiting:
        pays = f"{has}: that pays for {left.readings:,} of {waiting:,} readings that wait."
        yield Concern("SOL runs low", pays, _page("index"))


def _workers() -> Iterator[Concern]:
    seen = worker_health.look()
    if not seen.workers:
        yield Concern("no worker lives", "What is queued waits for one.", _page("index"))
        return
    silent = [each for each in seen.clusters if not each.lives]
    if silent:
        since = (f"{each.name} since {_moment(each.seen_at)}" for each in silent)
        yield Concern(
            f"{_many(len(silent), 'qcluster')} silent",
            f"Ended without being told to: {', '.join(since)}. Others do their work.",
            _page("index"),
        )


def _nodes() -> Iterator[Concern]:
    silent = [each for each in chain_health.remembered().nodes if each.silent_since is not None]
    if silent:
        since = (f"{each.name} since {_moment(each.silent_since)}" for each in silent)
        yield Concern(
            f"{_many(len(silent), 'node')} silent",
            f"No answer: {', '.join(since)}.",
            _page("index"),
        )


def _failures(day: date) -> Iterator[Concern]:
    midnight = datetime.combine(day, time(), UTC)
    rows = (
        MintResult.objects.filter(
            # A result is as old as its batch, which may wait as long as minting is stopped.
            id__gte=first_id_since(midnight - WAITED),
            status=ResultStatus.FAILED,
            settled_at__gte=midnight,
            settled_at__lt=midnight + timedelta(days=1),
        )
        .order_by()
        .values_list("error_code")
        .annotate(Count("id"))
    )
    counted = {code or "unknown": count for code, count in rows}
    if counted:
        failed = total(figures.backlog(), ReadingStatus.FAILED).readings
        yield Concern(
            _many(sum(counted.values()), "failure"),
            f"Of {day:%d %B}, by cause: {_listed(counted.items())}. "
            f"{_many(failed, 'reading')} in all failed for good and wait for a person.",
            _page("readings_meterreading_changelist", "?status__exact=failed"),
        )


def _polling() -> Iterator[Concern]:
    pause = journal.current_pause()
    if pause is not None:
        yield Concern(
            "polling is paused",
            f"Nothing is minted by itself since {_moment(pause.paused_at)}: {pause.reason}",
            _page("index"),
        )
    row = book.read()
    if row.trouble:
        yield Concern(
            "polling is in trouble",
            f"{_many(row.failures, 'poll')} in a row gave up: {row.trouble}",
            _page("index"),
        )


def _standing() -> Iterator[Concern]:
    parked = MintSlice.objects.parked().count()
    if parked:
        yield Concern(
            f"{_many(parked, 'slice')} parked",
            "Workers died of them again and again; their batches' pages show why.",
            _page("minting_mintbatch_changelist"),
        )
    approvals = MintApproval.objects.waiting().aggregate(
        count=Count("id"), soonest=Min("expires_at")
    )
    if approvals["count"]:
        yield Concern(
            f"{_many(approvals['count'], 'batch', 'batches')} awaiting approval",
            f"The first request expires {_moment(approvals['soonest'])}.",
            _page("minting_mintapproval_changelist"),
        )
    changes = queries.waiting_wallet_changes()
    if changes:
        yield Concern(
            f"{_many(changes, 'changed wallet')} awaiting approval",
            "Their owners are paid at the old ones meanwhile.",
            _page("readings_walletchange_changelist"),
        )
    given_up = WebhookEndpoint.objects.given_up().count()
    if given_up:
        yield Concern(
            f"{_many(given_up, 'webhook endpoint')} given up",
            "They failed for so long that they are not told any more, until somebody enables them.",
            _page("minting_webhookendpoint_changelist"),
        )


def _many(count: int, one: str, many: str = "") -> str:
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def _listed(counted: Iterable[tuple[str, int]]) -> str:
    """The commonest first."""
    return ", ".join(
        f"{what} {count:,}" for what, count in sorted(counted, key=lambda each: (-each[1], each[0]))
    )


def _moment(moment: datetime | None) -> str:
    return "" if moment is None else f"{moment:%d %B %H:%M} UTC"


def sol(lamports: int) -> str:
    """Lamports as SOL, exactly."""
    whole, rest = divmod(lamports, LAMPORTS_A_SOL)
    return f"{whole:,}.{rest:09d}".rstrip("0").rstrip(".")
