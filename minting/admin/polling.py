"""The poller's pauses: who paused it, when and why; the switch, and how it stands in words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.decorators import display
from unfold.widgets import UnfoldAdminTextareaWidget

from minting.admin import show
from minting.admin.base import ReadOnlyAdmin
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


class PauseForm(forms.Form):
    """Why nothing is to be minted by itself."""

    reason = forms.CharField(
        max_length=500,
        strip=True,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 3}),
        help_text="Shown on the dashboard, and kept with your name and the time.",
    )


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
    may = request.user.has_perm("minting.pause_polling")
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
        pause = seen.pause
        yield format_html(
            "Paused by {} since {}: {}", pause.paused_by, show.time(pause.paused_at), pause.reason
        )
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
class PollingPauseAdmin(ReadOnlyAdmin):
    """Every pause there was, and the switch."""

    list_display = ("paused", "paused_by", "reason", "state", "resumed")
    list_before_template = "admin/minting/pauses.html"
    ordering = ("-id",)
    readonly_fields = ("paused", "resumed", "state")
    fieldsets = (
        (None, {"fields": ("state", "reason", ("paused", "paused_by"))}),
        ("Resumed", {"fields": (("resumed", "resumed_by"),)}),
    )

    def get_urls(self) -> list[URLPattern]:
        """The two pages that ask once."""
        view = self.admin_site.admin_view
        return [
            path("pause/", view(self.pause_view), name="minting_pollingpause_pause"),
            path("resume/", view(self.resume_view), name="minting_pollingpause_resume"),
            *super().get_urls(),
        ]

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The list, under how it stands."""
        extra = {"polling": shown(request), **(extra_context or {})}
        return super().changelist_view(request, extra)  # type: ignore[no-any-return]

    def pause_view(self, request: HttpRequest) -> HttpResponse:
        """GET asks for the reason, POST pauses the poller."""
        _require_right(request)
        form = PauseForm(request.POST or None)
        if request.method == "POST" and form.is_valid():
            by = request.user.get_username()
            pause = pause_polling(form.cleaned_data["reason"], by=by)
            self.message_user(request, f"Polling is paused: {pause.reason}", messages.WARNING)
            return redirect("admin:index")
        context = self.page_context(request, title="Pause polling?", form=form)
        return TemplateResponse(request, "admin/minting/pause.html", context)

    def resume_view(self, request: HttpRequest) -> HttpResponse:
        """GET asks once, POST lets polls go on."""
        _require_right(request)
        if request.method == "POST":
            resumed = resume_polling(by=request.user.get_username())
            told = "Polling goes on." if resumed else "Polling was not paused."
            self.message_user(request, told, messages.SUCCESS)
            return redirect("admin:index")
        pause = standing_pause()
        context = self.page_context(
            request,
            title="Resume polling?",
            pause=pause,
            paused_at=show.time(pause.paused_at) if pause else "",
        )
        return TemplateResponse(request, "admin/minting/resume_polling.html", context)

    @display(description="Paused")
    def paused(self, pause: PollingPause) -> SafeString | str:
        """From when."""
        return show.time(pause.paused_at)

    @display(description="Resumed")
    def resumed(self, pause: PollingPause) -> SafeString | str:
        """To when, and by whom."""
        if pause.resumed_at is None:
            return ""
        return format_html("{}, {}", show.time(pause.resumed_at), pause.resumed_by)

    @display(description="State")
    def state(self, pause: PollingPause) -> SafeString:
        """Whether it stands."""
        return show.badge("over", "over") if pause.resumed_at else show.badge("held", "paused")


def _require_right(request: HttpRequest) -> None:
    if not request.user.has_perm("minting.pause_polling"):
        raise PermissionDenied
