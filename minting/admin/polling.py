"""The poller's pauses: who paused it, when and why; the switch, and how it stands in words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from minting.admin import show
from minting.admin.switches import Question, SwitchAdmin, told
from minting.models import PollingPause
from minting.service.polling import status
from minting.service.polling.hindrances import Cause
from minting.service.polling.status import PollingStatus
from minting.service.polling.switch import pause_polling, resume_polling, standing_pause

UNFIT = {
    "off_curve_wallet": "nobody holds the wallet's key",
    "invalid_wallet": "the wallet is no address",
    "forbidden_wallet": "the wallet is a program, a sysvar or a mint",
    "invalid_amount": "the amount is too large for a token",
}
"""Why a pending reading gets into no batch; other codes are told as they are."""


RIGHT = "minting.pause_polling"
"""For both ways: a pause costs nobody anything."""


@dataclass(frozen=True, slots=True)
class Shown:
    """What the dashboard says of the poller."""

    title: str
    tone: str
    """``warning``, ``danger``, or nothing."""
    lines: list[SafeString | str]
    may_pause: bool
    may_resume: bool


def shown(request: HttpRequest) -> Shown:
    """How the poller stands, and what this person may do about it."""
    seen = status.look()
    may = request.user.has_perm(RIGHT)
    title, tone = _title(seen)
    return Shown(
        title=title,
        tone=tone,
        lines=list(_lines(seen)),
        may_pause=may and seen.is_on and seen.pause is None,
        may_resume=may and seen.pause is not None,
    )


def _title(seen: PollingStatus) -> tuple[str, str]:
    if seen.pause is not None:
        return "Polling is paused", "warning"
    if not seen.is_on:
        return "Polling is off", ""
    if seen.row.trouble:
        return "Polling is in trouble", "danger"
    if seen.hindrance is not None:
        return "Polling waits", "warning"
    return "Polling is on", ""


def _lines(seen: PollingStatus) -> Iterator[SafeString | str]:
    if seen.pause is not None:
        yield told(seen.pause, "paused")
    if seen.every is None:
        yield "Readings are minted when somebody selects them: no worker polls."
        return
    what = "Otherwise what is pending" if seen.hindrance else "What is pending"
    yield format_html("{} is minted every {}. {}", what, _every(seen), _next(seen))
    if seen.hindrance is not None and seen.hindrance.cause is not Cause.PAUSED:
        yield f"It waits: {seen.hindrance.words}."
    if seen.row.began_at is not None:
        yield _last(seen)
    if seen.row.trouble:
        times = "" if seen.row.failures < 2 else f" ({seen.row.failures:,} times in a row)"
        yield f"It gave up{times}: {seen.row.trouble}"
    if seen.row.below_threshold:
        yield f"{show.readings(seen.row.below_threshold)} wait: their owners have too little yet."
    for code, count in seen.row.left_out.items():
        yield f"{show.readings(count)} cannot be minted: {UNFIT.get(code, code.replace('_', ' '))}."


def _every(seen: PollingStatus) -> str:
    seconds = int(seen.every.total_seconds()) if seen.every else 0
    return f"{seconds:,} s" if seconds < 300 or seconds % 60 else f"{seconds // 60:,} min"


def _next(seen: PollingStatus) -> SafeString | str:
    if seen.hindrance is not None:
        return ""
    if seen.next_at is None or seen.next_at <= timezone.now():
        return "Next poll: now."
    return format_html("Next poll: {}.", show.time(seen.next_at))


def _last(seen: PollingStatus) -> SafeString:
    row = seen.row
    if seen.took is None:
        return format_html("A poll began at {} and has not ended.", show.time(row.began_at))
    if not row.batches:
        made = "found nothing to mint" if not row.trouble else "made no batch"
    else:
        batches = "a batch" if row.batches == 1 else f"{row.batches:,} batches"
        made = f"took {show.readings(row.readings)} in {batches}"
    return format_html(
        "Last poll: {}, {}, in {} s.",
        show.time(row.began_at),
        made,
        f"{seen.took.total_seconds():.1f}",
    )


@admin.register(PollingPause)
class PollingPauseAdmin(SwitchAdmin[PollingPause]):
    """Every pause there was, and the switch."""

    throwing = Question(
        page="pause",
        right=RIGHT,
        title="Pause polling?",
        meaning=(
            "From the moment this is confirmed no batch is made by itself; readings stay pending, "
            "and staff may mint them. Batches that were made already go their way: to keep those "
            "from being signed, stop minting."
        ),
        button="Pause polling",
        leave="Let it run",
        already="Polling was paused already.",
    )
    releasing = Question(
        page="resume",
        right=RIGHT,
        title="Resume polling?",
        meaning=(
            "A worker is called at once and mints what is pending, what waited meanwhile included."
        ),
        button="Resume polling",
        leave="Leave it paused",
        already="Polling was not paused.",
    )
    done = "paused"
    colour = "held"
    shown_where = "Shown on the dashboard, and kept with your name and the time."
    list_before_template = "admin/minting/pauses.html"
    when_empty = "Polling was never paused."

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The list, under how it stands."""
        extra = {"polling": shown(request), **(extra_context or {})}
        return super().changelist_view(request, extra)  # type: ignore[no-any-return]

    def standing(self) -> PollingPause | None:
        """The pause."""
        return standing_pause()

    def throw(self, reason: str, *, by: str) -> str:
        """Pauses the poller."""
        return f"Polling is paused: {pause_polling(reason, by=by).reason}"

    def release(self, row: PollingPause, *, by: str) -> str:
        """Lets polls go on."""
        return "Polling goes on." if resume_polling(by=by, only=row.pk) else ""
