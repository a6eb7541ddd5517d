"""A batch's progress as its page shows it, and as the page asks for it again and again.

One dictionary for both: the template writes each value into an element that bears its name, and
``minting/static/minting/batch.js`` writes what comes later into the same elements.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.db.models import QuerySet
from django.utils import timezone
from django.utils.html import conditional_escape, format_html

from minting.admin import show
from minting.engine.states import BatchStatus
from minting.models import MintBatch
from minting.service.watch.progress import Progress, progress_of

READINGS = (("minted", "Minted"), ("failed", "Failed"), ("doubt", "In doubt"), ("open", "Open"))
TRANSACTIONS = (
    ("signed", "Signed"),
    ("sent", "Sent"),
    ("confirmed", "Confirmed"),
    ("finalized", "Finalized"),
)
UNITS = ((172_800, 86_400, "day"), (5_400, 3_600, "hour"), (60, 60, "minute"), (0, 1, "second"))
"""From how many seconds on a length is told in which unit."""


def followed(batches: QuerySet[MintBatch]) -> QuerySet[MintBatch]:
    """Batches with what progress needs of them, and no more."""
    return batches.only(
        "status",
        "started_at",
        "cancel_requested_at",
        "total_readings",
        "successful_mints",
        "failed_mints",
        "fee_paid_lamports",
        "rent_paid_lamports",
    )


def live(batch: MintBatch) -> dict[str, Any]:
    """What the page shows and what it asks for again.

    Returns:
        ``values``, HTML by the name of its element; ``bars``, per cent by name; ``done``, the whole
        bar's per cent, and ``sentence``, which says the same; ``version``, another one whenever the
        rest of the page has changed; ``over``, whether nothing will change any more.
    """
    seen = progress_of(batch)
    return {
        "values": {name: conditional_escape(value) for name, value in _values(batch, seen).items()},
        "bars": {
            "minted": _percent(seen.minted, seen.total),
            "failed": _percent(seen.failed, seen.total),
            "doubt": _percent(seen.in_doubt, seen.total),
        },
        "done": int(_percent(seen.minted + seen.failed, seen.total)),
        "sentence": sentence(seen),
        "version": _version(batch, seen),
        "over": seen.over,
    }


def sentence(seen: Progress) -> str:
    """The bar in words, for whoever cannot see it."""
    done = seen.minted + seen.failed
    parts = [f"{done:,} of {show.readings(seen.total)} done", f"{seen.minted:,} minted"]
    if seen.failed:
        parts.append(f"{seen.failed:,} failed or cancelled")
    if seen.in_doubt:
        parts.append(f"{seen.in_doubt:,} in doubt")
    return ": ".join([parts[0], ", ".join(parts[1:])])


def _values(batch: MintBatch, seen: Progress) -> dict[str, Any]:
    tx = seen.transactions
    return {
        "done": sentence(seen),
        "minted": f"{seen.minted:,}",
        "failed": f"{seen.failed:,}",
        "doubt": f"{seen.in_doubt:,}",
        "open": f"{seen.open - seen.in_doubt:,}",
        "signed": f"{tx.signed:,}",
        "sent": f"{tx.sent:,}",
        "confirmed": f"{tx.confirmed:,}",
        "finalized": f"{tx.finalized:,}",
        "unlucky": _unlucky(seen),
        "pace": _pace(seen),
        "note": _note(batch, seen),
    }


def _unlucky(seen: Progress) -> str:
    """Transactions that paid nobody."""
    told = []
    if seen.transactions.failed:
        told.append(f"{seen.transactions.failed:,} landed with an error")
    if seen.transactions.expired:
        told.append(f"{seen.transactions.expired:,} proven dead")
    return ", ".join(told)


def _pace(seen: Progress) -> Any:
    if not seen.open:
        return ""
    if seen.per_minute is None or seen.expected_end is None:
        return "Nothing landed in the last minute."
    return format_html(
        "{} a minute; the last one lands in about {}, at {}.",
        show.readings(seen.per_minute),
        duration(seen.expected_end - timezone.now()),
        show.time(seen.expected_end),
    )


def duration(length: timedelta) -> str:
    """Roughly how long: nobody sets a clock by it.

    >>> [duration(timedelta(seconds=each)) for each in (4, 61, 3_599, 7_300, 200_000)]
    ['4 seconds', '1 minute', '60 minutes', '2 hours', '2 days']
    """
    seconds = max(1, round(length.total_seconds()))
    size, unit = next((size, unit) for least, size, unit in UNITS if seconds >= least)
    count = round(seconds / size)
    return f"{count:,} {unit}{'' if count == 1 else 's'}"


def _note(batch: MintBatch, seen: Progress) -> str:
    """What is going on, in one sentence: read aloud when it changes."""
    if seen.over:
        return "Finished: nothing of it can change any more."
    if seen.final:
        left = seen.transactions.open
        return f"Every reading has its outcome; {_transactions(left)} not final yet."
    if batch.status == BatchStatus.AWAITING_APPROVAL:
        return "It waits for its approval."
    if seen.waits_for:
        return seen.waits_for
    if seen.open == seen.in_doubt:
        return "What is left is in doubt. Nothing has to be done: it is looked at every minute."
    return "Workers sign, send and settle it."


def _transactions(count: int) -> str:
    return f"{count:,} transaction{' is' if count == 1 else 's are'}"


def _version(batch: MintBatch, seen: Progress) -> str:
    """Of everything on the page that is not in here: it follows from these."""
    tx = seen.transactions
    parts: tuple[object, ...] = (
        batch.status,
        _stamp(batch.cancel_requested_at),
        seen.minted,
        seen.failed,
        seen.in_doubt,
        *(tx.signed, tx.sent, tx.confirmed, tx.finalized, tx.failed, tx.expired),
        batch.fee_paid_lamports + batch.rent_paid_lamports,
        bool(seen.waits_for),
    )
    return ".".join(str(part) for part in parts)


def _stamp(moment: datetime | None) -> int:
    return int(moment.timestamp()) if moment else 0


def _percent(part: int, whole: int) -> float:
    """Never nothing where there is something, and never all where something is left."""
    if not part or not whole:
        return 0.0
    if part == whole:
        return 100.0
    return min(max(round(100 * part / whole, 1), 0.5), 99.5)
