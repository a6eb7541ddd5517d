"""Figures of the work: readings, batches, transactions, and who does it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator
from decimal import Decimal

from django.db.models import Count, Min, Sum
from prometheus_client.core import Metric

from minting import journal
from minting.engine.states import FINAL_BATCHES, BatchStatus, TransactionStatus
from minting.engine.types import MessageVersion
from minting.models import (
    BatchSource,
    MintBatch,
    MintSlice,
    MintTransaction,
    WebhookDelivery,
    WebhookEndpoint,
    WebhookEvent,
)
from minting.monitoring.families import age, counters, gauge, gauges
from minting.monitoring.final import Ledger, Sums
from minting.service.drive.doubt import IN_DOUBT
from minting.service.polling import book
from minting.service.watch import figures, worker_health
from readings import queries
from readings.backlog import Pile, consumption
from readings.rules import ReadingStatus

_ledger = Ledger()
_S, _T = ReadingStatus, TransactionStatus


def readings() -> Iterator[Metric]:
    """Readings by status, and why some stand still."""
    piles = figures.backlog()
    minted = MintBatch.objects.aggregate(readings=Sum("successful_mints", default=0))["readings"]
    counts: Counter[ReadingStatus] = Counter({_S.MINTED: minted, _S.NOT_MINTED: consumption()})
    kwh: defaultdict[ReadingStatus, Decimal] = defaultdict(Decimal)
    for pile in piles:
        counts[pile.status] += pile.amount.readings
        kwh[pile.status] += pile.amount.kwh
    yield gauges(
        "readings",
        "Readings by status.",
        ["status"],
        (([each.value], counts[each]) for each in ReadingStatus),
    )
    unfinished = [each for each in _S if each not in (_S.MINTED, _S.NOT_MINTED)]
    yield gauges(
        "backlog_kwh",
        "Energy in kWh of readings that are not finished, by status.",
        ["status"],
        (([each.value], float(kwh[each])) for each in unfinished),
    )
    yield gauges(
        "held_readings", "Readings that are held, by cause.", ["code"], _codes(piles, _S.HELD)
    )
    yield gauges(
        "failed_readings",
        "Readings that failed for good, by cause.",
        ["code"],
        _codes(piles, _S.FAILED),
    )


def _codes(piles: Collection[Pile], status: ReadingStatus) -> Iterator[tuple[list[str], float]]:
    counted: Counter[str] = Counter()
    for pile in piles:
        if pile.status is status:
            counted[pile.code or "none"] += pile.amount.readings
    return (([code], count) for code, count in sorted(counted.items()))


def batches() -> Iterator[Metric]:
    """Batches by status and source, slices, and how long the oldest is under way."""
    rows = MintBatch.objects.order_by().values_list("status", "source").annotate(Count("id"))
    counts = {(status, source): count for status, source, count in rows}
    yield gauges(
        "batches",
        "Batches by status and by who asked.",
        ["status", "source"],
        (
            ([status.value, source.value], counts.get((status.value, source.value), 0))
            for status in BatchStatus
            for source in BatchSource
        ),
    )
    open_ = [each.value for each in BatchStatus if each not in FINAL_BATCHES]
    at_work = [each for each in open_ if each != BatchStatus.AWAITING_APPROVAL]
    yield gauges(
        "oldest_open_batch_age_seconds",
        "Since the oldest batch was asked for that is not finished: at work, or awaiting approval.",
        ["state"],
        (
            ([state], seconds)
            for state, statuses in (
                ("at_work", at_work),
                ("awaiting_approval", [BatchStatus.AWAITING_APPROVAL.value]),
            )
            if (seconds := _oldest_batch(statuses)) is not None
        ),
    )


def _oldest_batch(statuses: Collection[str]) -> float | None:
    found = MintBatch.objects.filter(status__in=statuses).aggregate(oldest=Min("created_at"))
    return age(found["oldest"])


def polling() -> Iterator[Metric]:
    """The poller, and what else waits for a person's yes."""
    row = book.read()
    yield gauge(
        "polling_paused",
        "1 while people paused the poller.",
        journal.current_pause() is not None,
    )
    yield gauge("polling_failures", "Polls in a row that gave up.", row.failures)
    yield gauge(
        "polling_age_seconds", "Since the last poll ended; none did: no sample.", age(row.ended_at)
    )
    yield gauge(
        "wallet_changes_waiting",
        "Changed wallets that wait for a second person.",
        queries.waiting_wallet_changes(),
    )


def transactions() -> Iterator[Metric]:
    """The journal: by state and version, what is final, what is in doubt."""
    sums = _ledger.sums()
    yield gauges(
        "transactions",
        "Transactions by state and by version of their format.",
        ["status", "version"],
        (
            ([status.value, version.value], sums.get((status, version), Sums()).transactions)
            for status in _T
            if status is not _T.PLANNED
            for version in MessageVersion
        ),
    )
    landed = [each for (status, _), each in sums.items() if status == _T.FINALIZED]
    failed = [each for (status, _), each in sums.items() if status == _T.FAILED]
    yield counters(
        "minted_readings",
        "Readings paid by finalized transactions.",
        [],
        [([], sum(each.readings for each in landed))],
    )
    yield counters(
        "minted_base_units",
        "Base units minted by finalized transactions.",
        [],
        [([], sum(each.base_units for each in landed))],
    )
    yield counters(
        "spent_lamports",
        "Lamports that final transactions cost, failed ones included.",
        ["kind"],
        [
            (["network_fee"], sum(each.network_fee for each in landed + failed)),
            (["priority_fee"], sum(each.priority_fee for each in landed + failed)),
            (["rent"], sum(each.rent for each in landed)),
        ],
    )
    yield from _doubts()


def _doubts() -> Iterator[Metric]:
    doubts = MintTransaction.objects.filter(IN_DOUBT).aggregate(
        count=Count("id"), oldest=Min("doubted_at"), readings=Sum("reading_ids__len", default=0)
    )
    yield gauge(
        "transactions_in_doubt",
        "Transactions past their time that neither landed nor are proven dead.",
        doubts["count"],
    )
    yield gauge("readings_in_doubt", "Readings that those pay.", doubts["readings"])
    yield gauge(
        "oldest_doubt_age_seconds",
        "Since the oldest of those is in doubt; none: no sample.",
        age(doubts["oldest"]),
    )


def workers() -> Iterator[Metric]:
    """Clusters, the queue, and the slices that are its work."""
    seen = worker_health.look()
    lives = sum(each.lives for each in seen.clusters)
    yield gauges(
        "clusters",
        "Clusters (qcluster) that gave a sign of life lately, and those that fell silent.",
        ["state"],
        [(["alive"], lives), (["silent"], len(seen.clusters) - lives)],
    )
    yield gauge("workers", "Worker processes of the clusters that live.", seen.workers)
    yield gauge(
        "cluster_pulse_age_seconds",
        "Since any cluster gave its last sign of life; none ever: no sample.",
        age(max((each.seen_at for each in seen.clusters), default=None)),
    )
    yield gauge("queue_up", "Whether the queue's broker answers.", seen.queue.depth is not None)
    yield gauge("queue_tasks", "Tasks that nobody took yet.", seen.queue.depth)
    yield gauge(
        "queue_oldest_task_age_seconds",
        "Since the oldest of them waits; none waits: zero.",
        age(seen.queue.oldest_at) or (None if seen.queue.depth is None else 0.0),
    )
    yield gauges(
        "slices",
        "Slices by whether a worker drives them, they wait for one, or are parked.",
        ["state"],
        [
            (["driven"], seen.driven),
            (["waiting"], seen.waiting),
            (["parked"], MintSlice.objects.parked().count()),
        ],
    )


def webhooks() -> Iterator[Metric]:
    """What other systems were not told yet."""
    pending = WebhookDelivery.objects.pending().filter(endpoint__enabled=True)
    waiting = pending.aggregate(count=Count("id"), oldest=Min("created_at"))
    yield gauge("webhook_deliveries_waiting", "Messages not delivered yet.", waiting["count"])
    yield gauge(
        "webhook_oldest_delivery_age_seconds",
        "Since the oldest of them was made; none: zero.",
        age(waiting["oldest"]) or 0.0,
    )
    yield gauge(
        "webhook_events_waiting", "Events not handed out yet.", WebhookEvent.objects.count()
    )
    endpoints = WebhookEndpoint.objects.standing()
    given_up = endpoints.given_up().count()
    failing = endpoints.filter(enabled=True, failing_since__isnull=False).count()
    enabled = endpoints.filter(enabled=True).count()
    yield gauges(
        "webhook_endpoints",
        "Endpoints: well, failing, given up after failures, and disabled by a person.",
        ["state"],
        [
            (["well"], enabled - failing),
            (["failing"], failing),
            (["given_up"], given_up),
            (["disabled"], endpoints.filter(enabled=False).count() - given_up),
        ],
    )
