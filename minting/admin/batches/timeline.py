"""A batch's story, moment by moment: bounded, however large the batch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count, Max, Min, Q, Sum
from django.utils.html import format_html
from django.utils.safestring import SafeString

from minting.admin import show
from minting.admin.batches.flights import Flights
from minting.engine.approval import Decision
from minting.engine.states import ResultStatus
from minting.models import BatchSource, MintApproval, MintBatch, MintingStop, MintSlice
from minting.service.watch.progress import Progress

Words = SafeString | str

MANY = 10
"""Of each kind of event: stops, retries, parked slices."""
WAVES = 6
"""Up to so many waves are told one by one; of more, the first and the last."""

ASKED = {
    BatchSource.ADMIN: "in the admin",
    BatchSource.API: "through the API",
    BatchSource.CLI: "from the command line",
    BatchSource.POLL: "by the poller",
    BatchSource.RETRY: "again",
}


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a batch, or will."""

    at: datetime
    title: Words
    detail: Words = ""
    icon: str = "circle"
    tone: str = ""
    """``good``, ``bad``, ``warn`` or nothing."""
    due: bool = False
    """Whether it is yet to come."""

    @property
    def when(self) -> Words:
        """Its moment, in the reader's zone."""
        return show.time(self.at)


@dataclass(frozen=True, slots=True)
class Wave:
    """Transactions that were signed with one blockhash."""

    signed_at: datetime
    transactions: int
    readings: int
    landed_at: datetime | None


def timeline(
    batch: MintBatch, seen: Progress, flights: Flights, approval: MintApproval | None = None
) -> list[Event]:
    """Everything that happened, in order; what is yet to come last."""
    events = [
        *_asked(batch),
        *(_approval(approval) if approval else [_queued(batch.created_at)]),
        *_taken_up(batch),
        *_stops(batch),
        *_waves(batch, flights),
        *_landings(flights),
        *_troubles(flights),
        *_parked(batch.slices.parked().order_by("number")[:MANY]),
        *_cancelled(batch),
        *_ended(batch, seen, flights),
        *_retries(batch),
    ]
    return sorted(events, key=lambda event: (event.due, event.at))


def _asked(batch: MintBatch) -> Iterator[Event]:
    by = batch.created_by.get_username() if batch.created_by else ""
    how = ASKED[BatchSource(batch.source)]
    if batch.retry_of is None:
        title: Words = f"Asked for {how}" + (f" by {by}" if by else "")
    else:
        title = format_html(
            "Tried again {}: what failed in {}",
            f"by {by}" if by else "by itself, as it was due",
            show.row_link(batch.retry_of, "an earlier batch"),
        )
    yield Event(batch.created_at, title, show.readings(batch.total_readings), "person", "")
    fee, rent = batch.fee_estimate_lamports, batch.rent_estimate_lamports
    if fee is not None and rent is not None:
        detail = (
            f"{show.sol(fee + rent)}: {show.lamports(fee)} of fees, {show.lamports(rent)} of rent"
        )
        yield Event(batch.created_at, "Estimated", detail, "calculate")


def _queued(at: datetime) -> Event:
    return Event(at, "Queued", "", "schedule")


def _approval(row: MintApproval) -> Iterator[Event]:
    """Four eyes: until a second person says so, nothing is queued."""
    yield Event(row.requested_at, "Waits for a second person", f"{row.why}.", "group")
    by = f" by {row.decided_by.get_username()}" if row.decided_by else ""
    match Decision(row.decision):
        case Decision.APPROVED:
            at = row.decided_at or row.requested_at
            yield Event(at, f"Approved{by}", row.reason, "how_to_reg", "good")
            yield _queued(at)
        case Decision.WAITING:
            yield Event(
                row.expires_at, "Void, if nobody decides until then", "", "event_busy", due=True
            )
        case decision:
            at = row.decided_at or row.expires_at
            yield Event(at, f"{decision.value.capitalize()}{by}", row.reason, "block", "warn")


def _taken_up(batch: MintBatch) -> Iterator[Event]:
    if batch.started_at is None:
        return
    workers = sorted(
        set(batch.slices.exclude(claimed_by="").values_list("claimed_by", flat=True)[:MANY])
    )
    detail = f"Now driven by {', '.join(workers)}" if workers else ""
    yield Event(batch.started_at, "Taken up by a worker", detail, "engineering")


def _waves(batch: MintBatch, flights: Flights) -> Iterator[Event]:
    if not flights.signed:
        return
    waves = [
        Wave(*row)
        for row in batch.transactions.order_by()
        .values("blockhash")
        .annotate(
            at=Min("signed_at"),
            number=Count("id"),
            paid=Sum("reading_ids__len"),
            landed=Max("confirmed_at"),
        )
        .values_list("at", "number", "paid", "landed")
        .order_by("at")
    ]
    told = waves if len(waves) <= WAVES else [*waves[: WAVES - 2], waves[-1]]
    for number, wave in enumerate(waves, 1):
        if wave in told:
            name = "First signed" if number == 1 else f"Wave {number} of {len(waves)} signed"
            yield Event(wave.signed_at, name, _paid(wave), "draw")
    if len(told) < len(waves):
        between = waves[WAVES - 2 : -1]
        yield Event(between[0].signed_at, f"{len(between)} more waves", _all(between), "more_vert")


def _paid(wave: Wave) -> str:
    return f"{_count(wave.transactions, 'transaction')} for {show.readings(wave.readings)}"


def _all(waves: Iterable[Wave]) -> str:
    both = list(waves)
    transactions, readings = (
        sum(each.transactions for each in both),
        sum(each.readings for each in both),
    )
    return f"{_count(transactions, 'transaction')} for {show.readings(readings)}"


def _landings(flights: Flights) -> Iterator[Event]:
    if flights.first_landed is None:
        return
    yield Event(flights.first_landed, "First landing", "", "flight_land", "good")
    if flights.last_landed not in (None, flights.first_landed) and not flights.open:
        told = f"{_count(flights.landed, 'transaction')} landed"
        yield Event(flights.last_landed, "Last landing", told, "flight_land", "good")


def _troubles(flights: Flights) -> Iterator[Event]:
    if flights.first_doubted is not None:
        detail = f"{_count(flights.doubted, 'transaction')}, {_still(flights)}"
        tone = "warn" if flights.doubtful else ""
        yield Event(flights.first_doubted, "In doubt", detail, "help", tone)
    if flights.first_failed is not None:
        detail = f"{_count(flights.failed, 'transaction')}; what they paid was signed again"
        yield Event(flights.first_failed, "Landed with an error", detail, "error", "bad")


def _still(flights: Flights) -> str:
    if not flights.doubtful:
        return "no more" if flights.doubted == 1 else "none of them any more"
    return "still" if flights.doubtful == flights.doubted else f"{flights.doubtful:,} of them still"


def _stops(batch: MintBatch) -> Iterator[Event]:
    """Those that stood while the batch was open."""
    stops = MintingStop.objects.filter(
        Q(resumed_at__isnull=True) | Q(resumed_at__gte=batch.created_at)
    )
    if batch.finished_at is not None:
        stops = stops.filter(stopped_at__lte=batch.finished_at)
    for stop in stops.order_by("-id")[:MANY]:
        title = f"Minting stopped by {stop.stopped_by}"
        yield Event(max(stop.stopped_at, batch.created_at), title, stop.reason, "block", "bad")
        if stop.resumed_at is not None:
            by = f" by {stop.resumed_by}" if stop.resumed_by else ""
            yield Event(stop.resumed_at, f"Minting resumed{by}", "", "play_arrow")


def _parked(slices: Iterable[MintSlice]) -> Iterator[Event]:
    for each in slices:
        if each.parked_until is not None:
            title = f"Slice {each.number} parked, until then"
            yield Event(
                each.parked_until, title, each.parked_reason, "local_parking", "warn", due=True
            )


def _cancelled(batch: MintBatch) -> Iterator[Event]:
    if batch.cancel_requested_at is None:
        return
    said = batch.results.filter(status=ResultStatus.CANCELLED).order_by()
    nothing = "Nothing was left to cancel: all was signed."
    detail = next(iter(said.values_list("error", flat=True)[:1]), nothing)
    yield Event(batch.cancel_requested_at, "Cancelled", detail, "cancel", "warn")


def _ended(batch: MintBatch, seen: Progress, flights: Flights) -> Iterator[Event]:
    if batch.finished_at is None:
        return
    tone = "good" if not batch.failed_mints else "warn" if batch.successful_mints else "bad"
    counts = f"{batch.successful_mints:,} minted, {batch.failed_mints:,} failed or cancelled"
    yield Event(batch.finished_at, "Every reading has its outcome", counts, "flag", tone)
    if seen.over and flights.landed and flights.last_finalized is not None:
        at = max(flights.last_finalized, batch.finished_at)
        yield Event(at, "Finalized", "No landing can be undone any more", "verified", "good")


def _retries(batch: MintBatch) -> Iterator[Event]:
    if not batch.failed_mints:
        return
    for made in batch.retries.select_related("created_by").order_by("id")[:MANY]:
        by = f"by {made.created_by.get_username()}" if made.created_by else "by itself"
        told = f"{show.readings(made.total_readings)}, {made.get_status_display()}"
        detail = format_html("{}: {}", show.row_link(made, "the batch of the retry"), told)
        yield Event(made.created_at, f"Tried again {by}", detail, "replay")
    due = batch.results.filter(status=ResultStatus.FAILED, retry_at__isnull=False).aggregate(
        first=Min("retry_at"), count=Count("id")
    )
    if due["count"]:
        yield Event(
            due["first"],
            "Tried again by itself from then on",
            show.readings(due["count"]),
            "update",
            due=True,
        )


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
